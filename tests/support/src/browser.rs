//! Drives a browser as a user would: clicks, refreshes, tabs. A script in the page records what it
//! shows.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fantoccini::elements::{Element, ElementRef};
use fantoccini::error::CmdError;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{Program, not_run};

/// Long enough under load. What must be quick is measured in the page.
const PATIENCE: Duration = Duration::from_secs(20);
/// The interval at which the page is checked.
const GLANCE: Duration = Duration::from_millis(25);
/// For a system without a screen, and so that only the test's own server gets requests.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
    // The driver aims a click once, and would miss what still moves.
    "--force-prefers-reduced-motion",
];
const WATCH: &str = include_str!("watch.js");

/// A browser with its own profile. Both are removed when this is dropped.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    /// The address of the session at the WebDriver.
    session: String,
    _driver: Program,
    _profile: TempDir,
}

/// A progress bar as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bar {
    /// The job it follows.
    pub job: String,
    /// The state, such as `running` or `reconnecting`.
    pub state: String,
    /// The percentage, unless the bar is indeterminate.
    pub percent: Option<u64>,
}

/// What a bar showed, and when.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Shown {
    /// What it showed.
    #[serde(flatten)]
    pub bar: Bar,
    /// Milliseconds since the page was requested.
    pub at: f64,
}

#[derive(Debug, Deserialize)]
struct Kept {
    backwards: Vec<String>,
    mistakes: Vec<String>,
}

impl Browser {
    /// Starts a browser. Returns `None` if there is none; the test is then reported as not run,
    /// which is a failure in CI.
    ///
    /// # Panics
    ///
    /// If it does not start; in CI also if there is none.
    pub async fn or_say_so() -> Option<Self> {
        let find = |variable, usual: &str| {
            let path =
                std::env::var_os(variable).map_or_else(|| PathBuf::from(usual), PathBuf::from);
            path.exists().then_some(path)
        };
        let chromium = find("CHROMIUM", "/usr/bin/chromium");
        let Some((chromium, driver)) = chromium.zip(find("CHROMEDRIVER", "/usr/bin/chromedriver"))
        else {
            not_run::say("install chromium and chromium-driver, or set CHROMIUM and CHROMEDRIVER");
            return None;
        };
        Some(Self::start(&chromium, &driver).await)
    }

    async fn start(chromium: &Path, driver: &Path) -> Self {
        const READY: &str = " started successfully on port ";
        let mut command = Command::new(driver);
        command.arg("--port=0").stderr(Stdio::null());
        let driver = Program::start_until(&mut command, |line| line.contains(READY));
        let (_, port) = driver.ready_line.split_once(READY).expect("the line that was waited for");
        let address = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
        let profile =
            tempfile::Builder::new().prefix("progress-profile-").tempdir().expect("a folder");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(chromium, profile.path()))
            .connect(&address)
            .await
            .expect("a browser");
        let id = client.session_id().await.expect("a driver").expect("a session");
        let session = format!("{address}/session/{id}");
        let browser = Self { client, session, _driver: driver, _profile: profile };
        // `drop` ends the session, in time and also after a panic.
        browser.client.persist().await.expect("a session");
        browser.watch();
        browser
    }

    /// Runs the recording script in every page, before the page's own scripts. The page's content
    /// security policy does not apply to it.
    fn watch(&self) {
        let command =
            json!({"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": {"source": WATCH}});
        let address = format!("{}/goog/cdp/execute", self.session);
        ureq::post(address).send_json(command).expect("a browser of the Chromium family");
    }

    /// Opens a page.
    ///
    /// # Panics
    ///
    /// If it does not load.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("a page");
    }

    /// Reloads the page.
    ///
    /// # Panics
    ///
    /// If it does not load.
    pub async fn refresh(&self) {
        self.client.refresh().await.expect("the page");
    }

    /// Clicks the first element that the selector matches, in the page or in its lists of jobs, as
    /// soon as it is clickable.
    ///
    /// # Panics
    ///
    /// If it is not clickable in time.
    pub async fn click(&self, selector: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Err(error) = self.try_click(selector).await else { return };
            assert!(Instant::now() < deadline, "{selector} is not clickable: {error}");
            sleep(GLANCE).await;
        }
    }

    async fn try_click(&self, selector: &str) -> Result<(), CmdError> {
        // A selector of the driver does not reach into a list, which is in a shadow root.
        let found = format!("return watch.all({})[0];", Value::from(selector));
        let found = self.client.execute(&found, Vec::new()).await?;
        let id = found.as_object().and_then(|found| found.values().next()?.as_str());
        let id = ElementRef::from(id.unwrap_or_default().to_owned());
        Element::from_element_id(self.client.clone(), id).click().await
    }

    /// Types text into the first element that the selector matches. In a file input, the text is
    /// the path of the file.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.client.find(Locator::Css(selector)).await.expect("an element");
        element.send_keys(text).await.expect("an element that takes text");
    }

    /// Evaluates an expression in the page.
    ///
    /// # Panics
    ///
    /// If it fails, or its value has another type.
    pub async fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> T {
        let outcome = self.client.execute(&format!("return {expression};"), Vec::new()).await;
        let value = outcome.unwrap_or_else(|error| panic!("{expression}: {error}"));
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Returns the visible text of each element that the selector matches, in the page or in its
    /// lists of jobs.
    pub async fn texts(&self, selector: &str) -> Vec<String> {
        let selector = Value::from(selector);
        self.evaluate(&format!("watch.all({selector}).map((node) => node.innerText.trim())")).await
    }

    /// Waits until a text satisfies `is_so`, and returns it.
    ///
    /// # Panics
    ///
    /// If none does in time.
    pub async fn wait_for_text(&self, selector: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let texts = self.texts(selector).await;
            if let Some(text) = texts.iter().find(|text| is_so(text)) {
                return text.clone();
            }
            assert!(
                Instant::now() < deadline,
                "no match after {PATIENCE:?}: {selector}: {texts:?}"
            );
            sleep(GLANCE).await;
        }
    }

    /// Returns the bars of the page.
    pub async fn bars(&self) -> Vec<Bar> {
        self.evaluate("watch.bars()").await
    }

    /// Waits until there are bars and each of them satisfies `is_so`.
    ///
    /// # Panics
    ///
    /// If they do not in time.
    pub async fn wait_for_bars(&self, is_so: impl Fn(&Bar) -> bool) -> Vec<Bar> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let bars = self.bars().await;
            if !bars.is_empty() && bars.iter().all(&is_so) {
                return bars;
            }
            assert!(Instant::now() < deadline, "no match after {PATIENCE:?}: {bars:?}");
            sleep(GLANCE).await;
        }
    }

    /// Returns everything that the bars have shown since the page was opened.
    pub async fn shown(&self) -> Vec<Shown> {
        self.evaluate("watch.shown").await
    }

    /// Hides the page behind another tab during `meanwhile`.
    ///
    /// # Panics
    ///
    /// If no other tab can be opened.
    pub async fn behind_another_tab<T>(&self, meanwhile: impl Future<Output = T>) -> T {
        let tab = self.client.window().await.expect("a tab");
        let other = self.client.new_window(true).await.expect("another tab");
        self.client.switch_to_window(other.handle).await.expect("the other tab");
        let outcome = meanwhile.await;
        self.client.close_window().await.expect("the other tab");
        self.client.switch_to_window(tab).await.expect("the tab");
        outcome
    }

    /// Returns each time that a bar went backwards, in this tab.
    pub async fn backwards(&self) -> Vec<String> {
        self.evaluate::<Kept>("watch.kept").await.backwards
    }

    /// Waits until the recorded mistakes of the page include one with these words.
    ///
    /// # Panics
    ///
    /// If they do not in time.
    pub async fn wait_for_mistake(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mistakes = self.mistakes().await;
            if mistakes.iter().any(|mistake| mistake.contains(words)) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no match after {PATIENCE:?}: {words}: {mistakes:?}"
            );
            sleep(GLANCE).await;
        }
    }

    /// Returns the violations of the page's policy and the script errors, in this tab.
    pub async fn mistakes(&self) -> Vec<String> {
        self.evaluate::<Kept>("watch.kept").await.mistakes
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A driver that is killed leaves its browser running. A session that is already gone needs
        // nothing.
        let ended =
            ureq::delete(&self.session).config().timeout_global(Some(PATIENCE)).build().call();
        drop(ended);
    }
}

fn capabilities(chromium: &Path, profile: &Path) -> Capabilities {
    let mut arguments: Vec<_> = FLAGS.map(str::to_owned).to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    Capabilities::from_iter([(
        "goog:chromeOptions".to_owned(),
        json!({"binary": chromium, "args": arguments}),
    )])
}
