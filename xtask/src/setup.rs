//! Finds or installs the programs that the tests need besides cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::step::{command, root};

/// The mail server of the invoice mailer's independent test, pinned.
const AIOSMTPD: &str = "aiosmtpd==1.4.6";

/// The tester of the OpenAPI description, pinned.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// The generator of a Python client from the OpenAPI description, pinned.
const OPENAPI_PYTHON_CLIENT: &str = "openapi-python-client==0.29.1";

/// Whether a program runs successfully with this argument.
fn answers(program: &str, argument: &str) -> bool {
    let status =
        Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Installs packages, if this process runs as root on Debian or Ubuntu.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let names = packages.join(" ");
    let advice =
        format!("install {names} first (as root on Debian or Ubuntu, this command installs them)");
    let is_debian = Path::new("/etc/debian_version").exists() && answers("apt-get", "--version");
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !is_debian || !is_root {
        return Err(advice);
    }
    println!("installing {names}");
    let apt = |arguments: &[&str]| {
        let status = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    // If the update fails for one source, the others may still have what is needed.
    let _ = apt(&["-q", "update"]);
    let install = [&["-q", "-y", "install", "--no-install-recommends"], packages].concat();
    if apt(&install) { Ok(()) } else { Err(format!("apt-get could not install {names}")) }
}

/// Ensures that there is a C compiler, which builds SQLite and ring.
pub(crate) fn compiler() -> Result<(), String> {
    if answers("cc", "--version") { Ok(()) } else { install(&["build-essential"]) }
}

/// Finds or installs libfaketime, which gives a process a wrong clock.
pub(crate) fn faketime() -> Result<PathBuf, String> {
    const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
    // Below a folder that is named after the architecture.
    let known = || {
        let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
        folders.map(|folder| folder.path().join(LIBRARY)).find(|library| library.exists())
    };
    match known() {
        Some(library) => Ok(library),
        None => {
            install(&["libfaketime"])?;
            known().ok_or_else(|| "libfaketime is installed, but not below /usr/lib".to_owned())
        }
    }
}

/// Finds or creates a Python environment with aiosmtpd.
pub(crate) fn aiosmtpd() -> Result<PathBuf, String> {
    Ok(python("aiosmtpd", AIOSMTPD)?.join("python"))
}

/// Finds or installs schemathesis, which sends valid and invalid requests to a described API.
pub(crate) fn schemathesis() -> Result<PathBuf, String> {
    Ok(python("schemathesis", SCHEMATHESIS)?.join("schemathesis"))
}

/// Finds or installs openapi-python-client, and returns the folder of its programs.
pub(crate) fn python_clients() -> Result<PathBuf, String> {
    python("openapi_python_client", OPENAPI_PYTHON_CLIENT)
}

/// Installs the packages for a generated TypeScript client, and returns their folder.
pub(crate) fn node_clients() -> Result<PathBuf, String> {
    Ok(npm_packages("tests/prove/clients")?.join("node_modules"))
}

/// Installs the Python packages that the benchmark of other libraries measures. Returns the Python
/// that has them, and its program.
pub(crate) fn python_peers() -> Result<[PathBuf; 2], String> {
    let environment = root().join("target/peers/python");
    let python = environment.join("bin/python");
    if !imports(&python, "pip") {
        virtual_environment(&environment)?;
    }
    // Also if they are installed, because their versions may have changed.
    pip_install(&python, "--requirement=tests/peers/python/requirements.txt")?;
    Ok([python, root().join("tests/peers/python/peers.py")])
}

/// Installs the Node packages that the benchmark of other libraries measures, beside a copy of its
/// program. Returns Node and that copy.
pub(crate) fn node_peers() -> Result<[PathBuf; 2], String> {
    const FOLDER: &str = "target/peers/node";
    let (source, folder) = (root().join("tests/peers/node"), root().join(FOLDER));
    let copy = || {
        std::fs::create_dir_all(&folder)?;
        for name in ["package.json", "package-lock.json", "peers.mjs"] {
            std::fs::copy(source.join(name), folder.join(name))?;
        }
        Ok(())
    };
    copy().map_err(|error: std::io::Error| format!("{FOLDER}: {error}"))?;
    npm_packages(FOLDER)?;
    Ok(["node".into(), folder.join("peers.mjs")])
}

/// Returns the program folder of a virtual environment with this package, below the target folder.
fn python(module: &str, package: &str) -> Result<PathBuf, String> {
    let environment = root().join("target/xtask").join(module);
    let programs = environment.join("bin");
    let python = programs.join("python");
    if imports(&python, module) {
        return Ok(programs);
    }
    virtual_environment(&environment)?;
    pip_install(&python, package)?;
    let is_installed = imports(&python, module);
    if is_installed { Ok(programs) } else { Err(format!("{package} has no module {module}")) }
}

/// Whether this Python has a module.
fn imports(python: &Path, module: &str) -> bool {
    let mut import = Command::new(python);
    import.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success())
}

/// Creates a virtual environment in place of what is in this folder.
fn virtual_environment(folder: &Path) -> Result<(), String> {
    let create = || {
        let mut create = command("python3", &["-m", "venv", "--clear"]);
        create.arg(folder).stdout(Stdio::null());
        create.status().is_ok_and(|status| status.success())
    };
    if create() {
        return Ok(());
    }
    install(&["python3-venv"])?;
    if create() { Ok(()) } else { Err("python3 -m venv failed".to_owned()) }
}

/// Installs a package, or with `--requirement=FILE` those of a file in the workspace.
fn pip_install(python: &Path, package: &str) -> Result<(), String> {
    let mut pip = Command::new(python);
    pip.current_dir(root());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]);
    let is_installed = pip.status().is_ok_and(|status| status.success());
    if is_installed { Ok(()) } else { Err(format!("pip could not install {package}")) }
}

/// Finds or installs PgBouncer, a connection pooler for PostgreSQL.
pub(crate) fn pgbouncer() -> Result<PathBuf, String> {
    program("PGBOUNCER", &["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"], "pgbouncer")
}

/// Finds or installs nginx, a proxy.
pub(crate) fn nginx() -> Result<PathBuf, String> {
    program("NGINX", &["/usr/sbin/nginx"], "nginx-light")
}

/// Finds or installs Apache, with the modules that make it a proxy.
pub(crate) fn apache() -> Result<PathBuf, String> {
    program("APACHE", &["/usr/sbin/apache2"], "apache2")
}

/// Ensures that there is a Redis server, which tests start themselves.
pub(crate) fn redis() -> Result<(), String> {
    if answers("redis-server", "--version") { Ok(()) } else { install(&["redis-server"]) }
}

/// Ensures that there is a curl.
pub(crate) fn curl() -> Result<(), String> {
    if answers("curl", "--version") { Ok(()) } else { install(&["curl"]) }
}

/// Installs the widget's development packages, and returns their folder.
pub(crate) fn node_packages() -> Result<PathBuf, String> {
    npm_packages("progress-http/assets")
}

/// Finds or installs Node, and installs the packages of the lock file in a folder.
fn npm_packages(folder: &str) -> Result<PathBuf, String> {
    if !answers("node", "--version") || !answers("npm", "--version") {
        install(&["nodejs", "npm"])?;
    }
    let folder = root().join(folder);
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    let is_installed = npm.status().is_ok_and(|status| status.success());
    if is_installed { Ok(folder) } else { Err("npm ci failed".to_owned()) }
}

/// A browser that tests can control.
pub(crate) struct Browser {
    chromium: PathBuf,
    driver: PathBuf,
}

impl Browser {
    /// Passes its paths to a test, in environment variables.
    pub(crate) fn tell(&self, test: &mut Command) {
        test.env("CHROMIUM", &self.chromium).env("CHROMEDRIVER", &self.driver);
    }
}

/// Finds or installs Chromium and its WebDriver. Tests in Rust and those with several tabs need the
/// latter.
pub(crate) fn browser() -> Result<Browser, String> {
    let places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let chromium = program("CHROMIUM", &places, "chromium")?;
    let driver = program("CHROMEDRIVER", &["/usr/bin/chromedriver"], "chromium-driver")?;
    Ok(Browser { chromium, driver })
}

/// The browser engines besides Chromium.
pub(crate) struct Engines {
    firefox: PathBuf,
    webkit_driver: PathBuf,
    xvfb: PathBuf,
}

impl Engines {
    /// Passes their paths to a test, in environment variables.
    pub(crate) fn tell(&self, test: &mut Command) {
        test.env("FIREFOX", &self.firefox);
        test.env("WEBKIT_DRIVER", &self.webkit_driver).env("XVFB", &self.xvfb);
    }
}

/// Finds or installs Firefox, and WebKit with its WebDriver and the virtual screen that it needs.
pub(crate) fn engines() -> Result<Engines, String> {
    Ok(Engines {
        firefox: program("FIREFOX", &["/usr/bin/firefox-esr"], "firefox-esr")?,
        webkit_driver: program(
            "WEBKIT_DRIVER",
            &["/usr/bin/WebKitWebDriver"],
            "webkit2gtk-driver",
        )?,
        xvfb: program("XVFB", &["/usr/bin/Xvfb"], "xvfb")?,
    })
}

/// Finds a program that a variable names, that is at one of these paths, or that Debian has.
fn program(variable: &str, places: &[&str], package: &str) -> Result<PathBuf, String> {
    if let Some(chosen) = std::env::var_os(variable) {
        return Ok(chosen.into());
    }
    let known = || places.iter().map(PathBuf::from).find(|path| path.exists());
    match known() {
        Some(path) => Ok(path),
        None => {
            install(&[package])?;
            known().ok_or_else(|| format!("{package} is installed, but not where it was expected"))
        }
    }
}
