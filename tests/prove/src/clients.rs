//! Clients that other programs generate from the OpenAPI document: types for TypeScript by
//! openapi-typescript, and a Python client by openapi-python-client.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outside::{COMPLETED, RUNNING, stage};
use crate::report::{Finding, Report};
use crate::testserver::{FRAMEWORKS, TestServer};

/// The programs that use the generated code.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

pub(crate) fn run(report: &mut Report) {
    match std::env::var_os("PROGRESS_TEST_NODE_CLIENTS").map(PathBuf::from) {
        None => report.not_run("TypeScript client", "PROGRESS_TEST_NODE_CLIENTS is not set"),
        Some(packages) => {
            for framework in FRAMEWORKS {
                report.check(&format!("{framework}-typescript"), || {
                    typescript(&packages, &stage(framework), &[])
                });
            }
            report.check("control", || {
                let renamed = [("\"status\"", "\"state\"")];
                typescript(&packages, &stage("axum"), &renamed).must_fail()
            });
        }
    }
    match std::env::var_os("PROGRESS_TEST_PYTHON_CLIENTS").map(PathBuf::from) {
        None => report.not_run("Python client", "PROGRESS_TEST_PYTHON_CLIENTS is not set"),
        Some(programs) => {
            for framework in FRAMEWORKS {
                report
                    .check(&format!("{framework}-python"), || python(&programs, &stage(framework)));
            }
        }
    }
}

/// Generates the types, compiles the program with them in the strict mode, and runs it.
fn typescript(packages: &Path, server: &TestServer, renamed: &[(&str, &str)]) -> Finding {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    for name in ["package.json", "tsconfig.json", "client.ts"] {
        std::fs::copy(Path::new(SOURCES).join(name), place.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(packages, place.join("node_modules")).unwrap();
    save_document(place, server, renamed);
    let program = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(packages.join(".bin").join(name));
        command.args(arguments).current_dir(place);
        command
    };
    let mut client = Command::new("node");
    client.arg("client.js").args(arguments(server)).current_dir(place);
    all_succeed(&mut [
        program("openapi-typescript", &["openapi.json", "--output", "schema.d.ts"]),
        program("tsc", &[]),
        client,
    ])
}

/// Generates the client, without a warning, and runs the program.
fn python(programs: &Path, server: &TestServer) -> Finding {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    save_document(place, server, &[]);
    // The generator would call a formatter.
    std::fs::write(place.join("settings.yml"), "post_hooks: []\n").unwrap();
    let mut generate = Command::new(programs.join("openapi-python-client"));
    generate.args(["generate", "--path", "openapi.json", "--config", "settings.yml"]);
    generate.args(["--meta", "none", "--output-path", "client_of_jobs", "--fail-on-warning"]);
    let mut client = Command::new(programs.join("python"));
    client.arg(Path::new(SOURCES).join("client.py")).args(arguments(server));
    // Python looks for modules beside the program, and here.
    client.env("PYTHONPATH", place).env("PYTHONDONTWRITEBYTECODE", "1");
    all_succeed(&mut [generate, client].map(|mut command| {
        command.current_dir(place);
        command
    }))
}

fn arguments(server: &TestServer) -> [String; 3] {
    [format!("http://{}/progress", server.address), RUNNING.to_owned(), COMPLETED.to_owned()]
}

/// Saves the OpenAPI document, with some of its text replaced.
fn save_document(place: &Path, server: &TestServer, replaced: &[(&str, &str)]) {
    let url = format!("http://{}/progress/openapi.json", server.address);
    let mut document = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
    for (from, to) in replaced {
        document = document.replace(from, to);
    }
    std::fs::write(place.join("openapi.json"), document).unwrap();
}

/// Runs the programs one after the other, up to the first that fails. The last one prints what it
/// has done.
fn all_succeed(commands: &mut [Command]) -> Finding {
    let mut printed = String::new();
    for command in commands {
        let output = command.output().unwrap();
        let line = |text: &[u8]| String::from_utf8_lossy(text).trim().replace('\n', " ");
        printed = line(&output.stdout);
        if !output.status.success() {
            let program = command.get_program().display();
            let figure = format!("{program}: {printed} {}", line(&output.stderr));
            return Finding::new(false, figure, "works");
        }
    }
    Finding::new(!printed.is_empty(), printed, "works")
}
