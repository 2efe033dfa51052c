//! A browser, driven as a person would: clicks, refreshes, tabs. What the page shows meanwhile is watched from inside.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{Program, not_run};

/// Long enough for a busy machine: what is to be quick is measured in the page.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the page is looked at.
const GLANCE: Duration = Duration::from_millis(25);
/// For a machine without a screen, and so that nobody is asked but the test's own server.
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
    // A click is aimed at once, and misses what still moves.
    "--force-prefers-reduced-motion",
];
const WATCH: &str = include_str!("watch.js");

/// A browser of its own, with a profile of its own. Both are gone when it is dropped.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    /// The address of the session at its driver.
    session: String,
    _driver: Program,
    _profile: TempDir,
}

/// A bar as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bar {
    /// The job it follows.
    pub job: String,
    /// The state, such as `running` or `reconnecting`.
    pub state: String,
    /// How far the job has come, unless the bar says that it does not know.
    pub percent: Option<u64>,
}

/// What a bar showed at a time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Shown {
    /// What it showed.
    #[serde(flatten)]
    pub bar: Bar,
    /// Milliseconds since the reader asked for the page.
    pub at: f64,
}

#[derive(Debug, Deserialize)]
struct Kept {
    backwards: Vec<String>,
    mistakes: Vec<String>,
}

impl Browser {
    /// A new one; `None`, said aloud, where there is none to be had, which is a failure in CI.
    ///
    /// # Panics
    ///
    /// When it does not start; in CI also when there is none.
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
        let (_, port) = driver.ready_line.split_once(READY).expect("what was waited for");
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
        // It is ended by us, in time and whatever happens to the test.
        browser.client.persist().await.expect("a session");
        browser.watch();
        browser
    }

    /// Has every page watched before its own scripts begin. The policy of the page does not apply to this.
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
    /// When it is not there.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("a page");
    }

    /// Loads the page again.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub async fn refresh(&self) {
        self.client.refresh().await.expect("the page");
    }

    /// Clicks on the first element of that selector, as soon as it can be clicked on.
    ///
    /// # Panics
    ///
    /// When it cannot in time.
    pub async fn click(&self, selector: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outcome =
                async { self.client.find(Locator::Css(selector)).await?.click().await }.await;
            let Err(error) = outcome else { return };
            assert!(Instant::now() < deadline, "{selector} cannot be clicked on: {error}");
            sleep(GLANCE).await;
        }
    }

    /// The value of an expression in the page.
    ///
    /// # Panics
    ///
    /// When it has none of that type.
    pub async fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> T {
        let outcome = self.client.execute(&format!("return {expression};"), Vec::new()).await;
        let value = outcome.unwrap_or_else(|error| panic!("{expression}: {error}"));
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The text of each element of that selector, as it is read.
    pub async fn texts(&self, selector: &str) -> Vec<String> {
        let selector = Value::from(selector);
        self.evaluate(&format!(
            "Array.from(document.querySelectorAll({selector}), (node) => node.innerText.trim())"
        ))
        .await
    }

    /// Waits until a text is as wanted.
    ///
    /// # Panics
    ///
    /// When it is not so in time.
    pub async fn wait_for_text(&self, selector: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let texts = self.texts(selector).await;
            if let Some(text) = texts.iter().find(|text| is_so(text)) {
                return text.clone();
            }
            assert!(Instant::now() < deadline, "not so after {PATIENCE:?}: {selector}: {texts:?}");
            sleep(GLANCE).await;
        }
    }

    /// The bars of the page.
    pub async fn bars(&self) -> Vec<Bar> {
        self.evaluate("watch.bars()").await
    }

    /// Waits until there are bars and each of them is as wanted.
    ///
    /// # Panics
    ///
    /// When they are not so in time.
    pub async fn wait_for_bars(&self, is_so: impl Fn(&Bar) -> bool) -> Vec<Bar> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let bars = self.bars().await;
            if !bars.is_empty() && bars.iter().all(&is_so) {
                return bars;
            }
            assert!(Instant::now() < deadline, "not so after {PATIENCE:?}: {bars:?}");
            sleep(GLANCE).await;
        }
    }

    /// Everything that the bars have shown since the page was opened.
    pub async fn shown(&self) -> Vec<Shown> {
        self.evaluate("watch.shown").await
    }

    /// Puts another tab in front for a while: the page is hidden.
    ///
    /// # Panics
    ///
    /// When there is no other tab to be had.
    pub async fn behind_another_tab<T>(&self, meanwhile: impl Future<Output = T>) -> T {
        let tab = self.client.window().await.expect("a tab");
        let other = self.client.new_window(true).await.expect("another tab");
        self.client.switch_to_window(other.handle).await.expect("the other tab");
        let outcome = meanwhile.await;
        self.client.close_window().await.expect("the other tab");
        self.client.switch_to_window(tab).await.expect("the tab");
        outcome
    }

    /// How often a bar went back, in this tab.
    pub async fn backwards(&self) -> Vec<String> {
        self.evaluate::<Kept>("watch.kept").await.backwards
    }

    /// Waits until the page has made a mistake of which the words tell.
    ///
    /// # Panics
    ///
    /// When it has not in time.
    pub async fn wait_for_mistake(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mistakes = self.mistakes().await;
            if mistakes.iter().any(|mistake| mistake.contains(words)) {
                return;
            }
            assert!(Instant::now() < deadline, "not so after {PATIENCE:?}: {words}: {mistakes:?}");
            sleep(GLANCE).await;
        }
    }

    /// Breaches of the page's policy and scripts that failed, in this tab.
    pub async fn mistakes(&self) -> Vec<String> {
        self.evaluate::<Kept>("watch.kept").await.mistakes
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Killed, the driver would leave its browser behind. What is gone already is gone.
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
