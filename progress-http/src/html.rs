//! A job as HTML, made by the server: a page for browsers without scripts, and its part for htmx.
//!
//! The part has the classes of the widget, and a style sheet that adds a rule to the widget's. It
//! has no inline style and no script, so that it works under a strict policy.

use std::fmt::{self, Display, Write as _};

use bytes::Bytes;
use progress_core::{Progress, ProgressId, Status};

use crate::wire::whole_seconds_up;
use crate::{ProgressApi, Reply, Request, Viewer, tag};

/// What the address of a job is followed by.
pub(crate) const EXTENSION: &str = ".html";

/// The name of the style sheet below the mount point.
pub(crate) const STYLE_SHEET: &str = "progress-html.css";

/// The widget's style sheet, and the bar. It is not in the widget's, which the script contains.
const STYLE: &str = concat!(
    include_str!("../assets/dist/progress-polling.css"),
    ".progress-polling:is(*,#progress-polling) progress{\
     flex:1;min-inline-size:0;block-size:.625rem;accent-color:var(--tone)}\n"
);

/// The status at which htmx swaps the content and ends its polling.
const STOP_POLLING: u16 = 286;

/// How often a page without scripts is loaded again, in seconds. More often it would disturb the
/// reader, whose browser draws the whole page each time.
const SLOWEST_PAGE: u64 = 3;

/// Everything but the style sheet is forbidden. An application may show the page in a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'self'";

/// A request for the HTML of a job.
#[derive(Debug)]
pub(crate) struct HtmlRequest {
    /// `None` if it is malformed.
    pub(crate) id: Option<ProgressId>,
    /// The path of the routes as the browser sees it.
    pub(crate) mount: String,
    /// Whether htmx asks, which swaps a part of its page.
    pub(crate) is_part: bool,
}

/// Returns the path of the routes as the browser sees it: behind what a proxy has removed, if the
/// proxy says so. A page of another site cannot send this header without a CORS preflight.
pub(crate) fn public_mount(request: &Request<'_>) -> String {
    let removed = request.headers.get("x-forwarded-prefix").unwrap_or_default();
    // The proxy that is nearest to the browser comes first.
    let removed = removed.split(',').next().unwrap_or_default().trim().trim_end_matches('/');
    format!("{removed}/{}", request.mount.trim_start_matches('/'))
}

impl ProgressApi {
    /// Answers with the HTML of a job: the part to htmx, otherwise a page.
    ///
    /// htmx takes any status from 200 to 399 for new content, except 204, so "not modified" is 204,
    /// and the job that is not there is content as well, which ends the polling.
    pub(crate) async fn html(
        &self,
        viewer: &Viewer,
        request: &HtmlRequest,
        if_none_match: Option<&str>,
    ) -> Reply {
        let is_part = request.is_part;
        let reply = match self.find(viewer, request.id).await {
            Ok(progress) => {
                let kind = if is_part { "part" } else { "page" };
                let etag = format!("\"{}-{kind}\"", self.tag(viewer, &progress).trim_matches('"'));
                let is_over = progress.status.is_finished();
                // The end is always sent, because htmx swaps what comes with that status.
                let is_known = tag::matches(if_none_match, &etag) && !(is_part && is_over);
                let seconds = whole_seconds_up(self.poll_after()).max(SLOWEST_PAGE);
                let reply = if is_known {
                    Reply::empty(if is_part { 204 } else { 304 })
                } else {
                    let view = View::new(&progress, self);
                    let part = view.part(self, &request.mount, is_part.then_some(&*etag));
                    let status = if is_part && is_over { STOP_POLLING } else { 200 };
                    document(status, is_part, &format!("{} - {}", view.badge, view.title), &part)
                };
                let reply = reply.with_header("etag", etag);
                if is_part || is_over { reply } else { refreshed(reply, seconds) }
            }
            Err(reply) if reply.status == 404 => {
                let status = if is_part { STOP_POLLING } else { 404 };
                document(status, is_part, "Job not found", &problem("Job not found."))
            }
            Err(reply) => {
                let wait = reply.header("retry-after").unwrap_or("1").to_owned();
                let text = problem("The job store is temporarily unavailable, please try again.");
                let reply = document(reply.status, is_part, "Server unavailable", &text);
                let reply = reply.with_header("retry-after", wait);
                if is_part { reply } else { refreshed(reply, SLOWEST_PAGE) }
            }
        };
        reply.with_header("vary", "HX-Request")
    }
}

/// Serves the style sheet, which changes only with the build.
pub(crate) fn style_sheet(if_none_match: Option<&str>) -> Reply {
    let etag = tag::of_bytes(STYLE.as_bytes());
    let style = Bytes::from_static(STYLE.as_bytes());
    Reply::file("text/css; charset=utf-8", style, etag, if_none_match).cached("no-cache")
}

/// Without scripts, a browser loads the page again by this header.
fn refreshed(reply: Reply, seconds: u64) -> Reply {
    reply.with_header("refresh", seconds.to_string())
}

fn document(status: u16, is_part: bool, title: &str, part: &str) -> Reply {
    let body = if is_part {
        part.to_owned()
    } else {
        // Relative to this page, because a proxy may have removed a prefix.
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{}</title>\n<link rel=\"stylesheet\" href=\"{STYLE_SHEET}\">\n\
             </head>\n<body>\n<main>\n{part}</main>\n</body>\n</html>\n",
            Escaped(title),
        )
    };
    let reply = Reply::html(status, body);
    // The address of a job may be a secret, which a link to its result would tell.
    reply
        .with_header("content-security-policy", POLICY)
        .with_header("referrer-policy", "no-referrer")
}

fn problem(text: &str) -> String {
    format!(
        "<div class=\"progress-polling ui segment\" data-state=\"lost\" data-tone=\"error\" \
         lang=\"en\">\n<span class=\"progress-polling-alert ui negative message\" \
         role=\"alert\">{text}</span>\n</div>\n"
    )
}

/// What is shown of a job. The widget decides the same in `view.js`.
struct View<'a> {
    progress: &'a Progress,
    state: &'static str,
    tone: &'static str,
    badge: String,
    title: &'a str,
    percentage: Option<u8>,
    is_stale: bool,
}

impl<'a> View<'a> {
    fn new(progress: &'a Progress, api: &ProgressApi) -> Self {
        let is_stale = progress.is_stale(api.stale_after());
        let (state, badge) = match progress.status {
            Status::Completed => ("completed", "Completed".to_owned()),
            Status::Failed => ("failed", "Failed".to_owned()),
            Status::Cancelled => ("cancelled", "Cancelled".to_owned()),
            _ if is_stale => ("stale", "Not responding".to_owned()),
            _ if progress.cancel_requested => ("cancelling", "Cancelling…".to_owned()),
            Status::Running if progress.is_stalled() => ("stalled", "Stalled".to_owned()),
            Status::Running => ("running", "Running".to_owned()),
            Status::Pending if progress.is_retrying() => {
                let attempts = progress.max_attempts.unwrap_or_default();
                let next = progress.attempt.saturating_add(1);
                ("retrying", format!("Retrying: {next} of {attempts}"))
            }
            Status::Pending => ("waiting", "Waiting".to_owned()),
        };
        let tone = match state {
            "running" => "active",
            "completed" if progress.failed_in_all_stages() == 0 => "success",
            "failed" => "error",
            "waiting" | "cancelled" | "cancelling" => "",
            _ => "warning",
        };
        Self {
            progress,
            state,
            tone,
            badge,
            title: progress
                .title
                .as_deref()
                .filter(|title| !title.is_empty())
                .unwrap_or("Progress"),
            percentage: progress.percentage(),
            is_stale,
        }
    }

    /// The attempt, unless it is the first, and the stage.
    fn stage(&self) -> String {
        let progress = self.progress;
        if matches!(progress.status, Status::Pending | Status::Completed) {
            return String::new();
        }
        let attempts = progress.max_attempts.filter(|_| progress.attempt > 1);
        let attempt = attempts.map(|all| format!("Attempt {} of {all}", progress.attempt));
        let stage = progress.stages.as_ref().and_then(|stages| {
            let stage = stages.all.get(stages.current)?;
            Some(format!("Step {} of {}: {}", stages.current + 1, stages.all.len(), stage.name))
        });
        [attempt, stage].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn errors(&self) -> Option<String> {
        match self.progress.failed_in_all_stages() {
            0 => None,
            1 => Some("1 error".to_owned()),
            errors => Some(format!("{errors} errors")),
        }
    }

    /// The line below the bar.
    fn message(&self) -> String {
        let progress = self.progress;
        let line = match self.state {
            "completed" => progress.completion_message.clone().unwrap_or_else(|| {
                let taken = progress.duration().map_or_else(
                    || "Completed".to_owned(),
                    |taken| format!("Completed ({})", duration(taken.as_secs())),
                );
                [Some(taken), self.errors()].into_iter().flatten().collect::<Vec<_>>().join(" - ")
            }),
            "stale" => {
                let silence = progress.observed_at - progress.heartbeat_at.unwrap_or_default();
                let silence = u64::try_from(silence.num_seconds()).unwrap_or(0);
                format!("No heartbeat for {}", duration(silence))
            }
            "retrying" => {
                let reason = progress.error.clone();
                let at = progress.retry_at.map(|at| at.format("Retrying at %H:%M:%S UTC."));
                let at = at.map(|at| at.to_string());
                [reason, at].into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
            _ => String::new(),
        };
        let line =
            if line.is_empty() { progress.message.clone().unwrap_or_default() } else { line };
        let parts = [self.stage(), line];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" – ")
    }

    /// Why the job failed.
    fn alert(&self) -> Option<String> {
        let progress = self.progress;
        (progress.status == Status::Failed).then(|| {
            let reason = progress.error.as_deref().unwrap_or("Failed");
            let attempts = progress.max_attempts.filter(|most| progress.attempt >= *most);
            match attempts.filter(|_| progress.attempt > 1) {
                Some(attempts) => format!("{reason} (after {attempts} attempts)"),
                None => reason.to_owned(),
            }
        })
    }

    /// The bar. With a tag, htmx is told to ask for it again, and what it knows.
    fn part(&self, api: &ProgressApi, mount: &str, etag: Option<&str>) -> String {
        let progress = self.progress;
        let (id, state, tone) = (progress.id, self.state, self.tone);
        let mut html = format!(
            "<div class=\"progress-polling ui segment\" id=\"progress-{id}\" role=\"group\" \
             aria-labelledby=\"progress-{id}-title\" lang=\"en\" data-state=\"{state}\" \
             data-tone=\"{tone}\" data-line=\"{}\"",
            matches!(state, "completed" | "stale" | "retrying"),
        );
        // Writing to a string cannot fail.
        let mut add = |part: fmt::Arguments<'_>| html.write_fmt(part).unwrap_or_default();
        if let Some(etag) = etag.filter(|_| progress.status.is_active()) {
            // One slash, because two would begin the name of another server. To a browser a
            // backslash is a slash, and it removes control characters.
            let is_slash = |character: char| character.is_control() || "/\\ ".contains(character);
            let mount = mount.trim_matches(is_slash);
            let slash = if mount.is_empty() { "" } else { "/" };
            let known = serde_json::json!({ "If-None-Match": etag }).to_string();
            add(format_args!(
                " hx-get=\"{slash}{}/{id}{EXTENSION}\" hx-trigger=\"every {}ms\" \
                 hx-target=\"this\" hx-swap=\"outerHTML\" hx-headers=\"{}\"",
                Escaped(mount),
                api.poll_after().as_millis(),
                Escaped(&known),
            ));
        }
        add(format_args!(
            ">\n<div class=\"progress-polling-header\"><span class=\"progress-polling-title ui \
             header\" id=\"progress-{id}-title\" dir=\"auto\">{}</span><div \
             class=\"progress-polling-status\"><span class=\"progress-polling-badge ui label\">{}\
             </span></div></div>\n",
            Escaped(self.title),
            Escaped(&self.badge),
        ));

        let counts = progress.total.map(|total| format!("{} of {total}", progress.processed()));
        let percent = self.percentage.map(|percentage| format!("{percentage}%"));
        let said = [percent.clone(), counts.clone()];
        let said = said.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let said = if said.is_empty() { &self.badge } else { &said };
        let data = self.percentage.map_or_else(String::new, |value| value.to_string());
        // Without a value the browser shows that it is not known how far the job has come.
        let value = match self.percentage {
            Some(value) => format!(" value=\"{value}\""),
            None if progress.status == Status::Running => String::new(),
            None => " value=\"0\"".to_owned(),
        };
        let shown = percent.as_deref().unwrap_or_default();
        add(format_args!(
            "<div class=\"progress-polling-progress ui progress {tone}\" data-percent=\"{data}\">\n\
             <div class=\"progress-polling-row\"><progress max=\"100\"{value} \
             aria-labelledby=\"progress-{id}-title\" aria-valuetext=\"{}\">{shown}</progress><div \
             class=\"progress-polling-percent progress\">{shown}</div></div>\n\
             <div class=\"progress-polling-caption label\"><span \
             class=\"progress-polling-message\" dir=\"auto\">{}</span>",
            Escaped(said),
            Escaped(&self.message()),
        ));
        let left = progress.estimated_remaining().filter(|_| state == "running" && !self.is_stale);
        if let Some(left) = left.map(whole_seconds_up).filter(|left| *left > 0) {
            // In steps, because the estimate is not exact and would flicker.
            let step = if left < 60 { 5 } else { 60 };
            let left = duration(left.div_ceil(step) * step);
            add(format_args!(
                "<span class=\"progress-polling-time-left\">about {left} left</span>"
            ));
        }
        if let Some((href, label)) = self.result() {
            add(format_args!(
                "<a class=\"progress-polling-result progress-polling-link\" href=\"{}\" \
                 dir=\"auto\">{}</a>",
                Escaped(href),
                Escaped(label),
            ));
        }
        add(format_args!(
            "</div>\n</div>\n<dl class=\"progress-polling-statistics ui statistics\">"
        ));
        let number =
            |number: Option<u64>| number.map_or("–".to_owned(), |known| known.to_string());
        let failed = progress.failed_in_all_stages();
        for (key, name, value) in [
            ("total", "Total", Some(number(progress.total))),
            ("processed", "Processed", Some(progress.processed().to_string())),
            ("remaining", "Remaining", Some(number(progress.remaining()))),
            ("errors", "Errors", (failed > 0).then(|| failed.to_string())),
        ] {
            if let Some(value) = value {
                add(format_args!(
                    "<div class=\"progress-polling-statistic statistic\" data-count=\"{key}\"><dt \
                     class=\"progress-polling-name label\">{name}</dt><dd \
                     class=\"progress-polling-value value\">{value}</dd></div>"
                ));
            }
        }
        add(format_args!("</dl>\n"));
        if let Some(alert) = self.alert() {
            add(format_args!(
                "<span class=\"progress-polling-alert ui negative message\" role=\"alert\" \
                 dir=\"auto\">{}</span>\n",
                Escaped(&alert),
            ));
        }
        add(format_args!("</div>\n"));
        html
    }

    /// The address of the result and its text. Only what cannot be a script, and leads to this
    /// server or is encrypted: the worker may have copied it from an upload.
    fn result(&self) -> Option<(&str, &str)> {
        let result = self.progress.result.as_ref()?;
        let href = result.get("href")?.as_str()?;
        // A backslash is a slash to browsers, and they remove control characters.
        let is_plain =
            !href.contains(|character: char| character.is_control() || character == '\\');
        let is_path = href.starts_with('/') && !href.starts_with("//");
        let is_encrypted =
            href.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
        let label = result.get("label").and_then(serde_json::Value::as_str);
        let label = label.filter(|label| !label.is_empty()).unwrap_or("View result");
        (is_plain && (is_path || is_encrypted)).then_some((href, label))
    }
}

/// A duration in one unit, as the widget says it.
fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

/// Text that is safe between tags and in an attribute in quotes of either kind.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use progress_core::{Completion, Failure, Jobs, MemoryStore, NewProgress, ProgressStore};
    use serde_json::json;

    use super::*;

    fn api() -> (Jobs, ProgressApi) {
        let jobs = Jobs::new(MemoryStore::new());
        (jobs.clone(), ProgressApi::new(jobs))
    }

    async fn ask(api: &ProgressApi, id: ProgressId, is_part: bool, known: Option<&str>) -> Reply {
        let request = HtmlRequest { id: Some(id), mount: "/progress".to_owned(), is_part };
        api.html(&Viewer::Anyone, &request, known).await
    }

    fn body(reply: &Reply) -> &str {
        str::from_utf8(&reply.body).unwrap()
    }

    #[tokio::test]
    async fn htmx_gets_a_part_that_asks_again_until_the_end() {
        let (jobs, api) = api();
        let id = jobs.create(NewProgress::new("t").with_total(4)).await.unwrap().id;
        let first = ask(&api, id, true, None).await;
        assert_eq!((first.status, first.header("refresh")), (200, None));
        assert!(body(&first).contains(&format!("hx-get=\"/progress/{id}.html\"")));
        assert!(body(&first).contains("hx-trigger=\"every 500ms\""));
        let etag = first.header("etag").unwrap();
        let sent = json!({ "If-None-Match": etag }).to_string();
        assert!(body(&first).contains(&format!("hx-headers=\"{}\"", Escaped(&sent))));
        assert_eq!(ask(&api, id, true, Some(etag)).await.status, 204);
        let tracker = jobs.tracker(id).await.unwrap();
        tracker.handle().inc(1);
        tracker.complete(Completion::new()).await.unwrap();
        for known in [None, Some(etag), Some("*")] {
            let last = ask(&api, id, true, known).await;
            assert_eq!(last.status, 286, "with content, which htmx swaps");
            assert!(body(&last).contains("data-state=\"completed\" data-tone=\"success\""));
            assert!(!body(&last).contains("hx-"));
        }
    }

    #[tokio::test]
    async fn a_page_is_loaded_again_until_the_end() {
        let (jobs, api) = api();
        let id = jobs.create(NewProgress::new("t").with_title("Export")).await.unwrap().id;
        let page = ask(&api, id, false, None).await;
        assert_eq!((page.status, page.header("refresh")), (200, Some("3")));
        assert!(body(&page).starts_with("<!doctype html>"));
        assert!(body(&page).contains("<title>Waiting - Export</title>"));
        assert!(!body(&page).contains("hx-") && !body(&page).contains("style=\""));
        let etag = page.header("etag").unwrap();
        assert_eq!(ask(&api, id, false, Some(etag)).await.status, 304);
        assert_eq!(ask(&api, id, true, Some(etag)).await.status, 200, "of the page, not the part");
        jobs.cancel(id).await.unwrap();
        let page = ask(&api, id, false, Some(etag)).await;
        assert_eq!((page.status, page.header("refresh")), (200, None));
        for (is_part, status) in [(false, 404), (true, 286)] {
            let missing = ask(&api, ProgressId::new(), is_part, None).await;
            assert_eq!((missing.status, missing.header("refresh")), (status, None));
            assert!(body(&missing).contains("Job not found."));
        }
    }

    #[tokio::test]
    async fn every_text_is_escaped() {
        const HOSTILE: &str = "</span></title><script>ran</script>\"'onload=ran&lt;";
        let (jobs, api) = api();
        let job = NewProgress::new(HOSTILE).with_title(HOSTILE).with_attempts(1);
        let job = job.with_stages([(HOSTILE, 1), ("b", 1)]);
        let id = jobs.create(job).await.unwrap().id;
        let mut seen = Vec::new();
        let look = async || {
            let (part, page) = (ask(&api, id, true, None).await, ask(&api, id, false, None).await);
            [body(&part).to_owned(), body(&page).to_owned()]
        };
        seen.extend(look().await);
        let running = async |tracker: progress_core::TrackerHandle| {
            tracker.message(HOSTILE);
            tracker.save_now(&1).await?;
            seen.extend(look().await);
            Err::<(), _>(Failure::new(HOSTILE).permanent())
        };
        jobs.run(id, running).await.unwrap();
        seen.extend(look().await);
        let escaped = Escaped(HOSTILE).to_string();
        for html in &seen {
            assert!(html.contains(&escaped), "{html}");
            for live in ["<script", "</title><", "\"'", "'onload"] {
                assert!(!html.contains(live), "{live} in {html}");
            }
        }
        assert_eq!(seen.len(), 6);
        let request = HtmlRequest { id: Some(id), mount: "//evil\"/x".into(), is_part: true };
        jobs.store().delete(id).await.unwrap();
        let id = jobs.create(NewProgress::new("t").with_id(id)).await.unwrap().id;
        let part = api.html(&Viewer::Anyone, &request, None).await;
        assert!(body(&part).contains(&format!("hx-get=\"/evil&quot;/x/{id}.html\"")));
    }

    #[tokio::test]
    async fn only_a_safe_result_is_a_link() {
        let (jobs, api) = api();
        for (href, is_link) in [
            ("/exports/7.csv?a=1&b=2", true),
            ("https://cdn.example.com/7.csv", true),
            ("HTTPS://cdn.example.com/7.csv", true),
            ("http://cdn.example.com/7.csv", false),
            ("//evil.example/7", false),
            ("/\\evil.example/7", false),
            ("/\t/evil.example/7", false),
            ("javascript:ran", false),
            ("data:text/html,ran", false),
            ("exports/7.csv", false),
            ("", false),
        ] {
            let id = jobs.create(NewProgress::new("t")).await.unwrap().id;
            let tracker = jobs.tracker(id).await.unwrap();
            let result = json!({ "href": href, "label": "<Export>" });
            let end = Completion::new().try_with_result(result).unwrap();
            tracker.complete(end).await.unwrap();
            let page = ask(&api, id, false, None).await;
            let link = format!("href=\"{}\" dir=\"auto\">&lt;Export&gt;</a>", Escaped(href));
            assert_eq!(body(&page).contains(&link), is_link, "{href}");
            assert_eq!(body(&page).contains("<a "), is_link, "{href}");
        }
    }

    #[tokio::test]
    async fn a_silent_worker_is_shown() {
        let (jobs, api) = api();
        let api = api.with_stale_after(Duration::ZERO);
        let id = jobs.create(NewProgress::new("t").with_total(4)).await.unwrap().id;
        let _tracker = jobs.tracker(id).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let page = ask(&api, id, false, None).await;
        assert!(body(&page).contains("data-state=\"stale\" data-tone=\"warning\""));
        assert!(body(&page).contains("Not responding"));
        assert!(body(&page).contains("No heartbeat for 0 s"));
    }
}
