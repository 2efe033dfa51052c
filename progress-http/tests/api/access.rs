//! Access control, on every route and with every method.

use super::*;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const ROUTES: [&str; 8] =
    ["", "/", "/log", "/log?after=0", "/events", "/cancel", "/other", "?ids=ID"];

fn viewers() -> [Viewer; 4] {
    [ann(), Viewer::Owner("bob".to_owned()), Viewer::Anyone, Viewer::Admin]
}

impl Server {
    /// Creates 200 jobs in every state: Ann's, Bob's, and jobs without an owner.
    async fn jobs(&self) -> Vec<ProgressId> {
        let mut jobs = Vec::new();
        for number in 0..200 {
            let job = NewProgress::new("test");
            let id = match number % 3 {
                0 => self.create(job.with_owner("ann")).await,
                1 => self.create(job.with_owner("bob")).await,
                _ => self.create(job).await,
            };
            let state = number / 3 % 5;
            if state > 0 {
                self.update(id, ProgressUpdate::start()).await;
            }
            match state {
                2 => {
                    let done = ProgressUpdate::complete(Delta::new(), Completion::new());
                    self.update(id, done).await;
                }
                3 => self.update(id, ProgressUpdate::fail(Delta::new(), "over")).await,
                4 => self.update(id, ProgressUpdate::cancel(Delta::new())).await,
                _ => {}
            }
            jobs.push(id);
        }
        jobs
    }

    async fn whole(&self, viewer: &Viewer, line: &str) -> Option<Reply> {
        match self.answer(viewer, line, &[]).await {
            Answer::Whole(reply) => Some(reply),
            Answer::Events(..) => None,
        }
    }

    async fn record(&self, id: ProgressId) -> Option<progress_core::Progress> {
        let mut progress = self.store.get(id).await.unwrap()?;
        progress.observed_at = progress.created_at;
        Some(progress)
    }
}

fn line(method: &str, route: &str, id: ProgressId) -> String {
    if route.contains("ID") {
        format!("{method} /{}", route.replace("ID", &id.to_string()))
    } else {
        format!("{method} /{id}{route}")
    }
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_there() {
    let server = Server::new();
    let jobs = server.jobs().await;
    let (mut hidden, mut shown) = (0, 0);
    for id in jobs {
        for viewer in viewers() {
            let before = server.record(id).await;
            let may_see = before.as_ref().is_some_and(|progress| viewer.may_see(progress));
            for method in METHODS {
                for route in ROUTES {
                    let reply = server.whole(&viewer, &line(method, route, id)).await;
                    if may_see {
                        shown += u32::from(reply.is_none_or(|reply| reply.status < 400));
                        continue;
                    }
                    let unknown =
                        server.whole(&viewer, &line(method, route, ProgressId::new())).await;
                    assert_eq!(reply, unknown, "{viewer:?}: {}", line(method, route, id));
                    hidden += 1;
                }
            }
            if !may_see {
                assert_eq!(server.record(id).await, before, "{viewer:?} changed it");
            }
        }
    }
    assert!(hidden > 10_000 && shown > 1_000, "{hidden} hidden, {shown} shown");
}

#[tokio::test]
async fn lists_hold_what_is_ones_own() {
    let server = Server::new();
    let mut jobs = server.jobs().await;
    jobs.truncate(100);
    let ids = jobs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    for viewer in viewers() {
        let mut queries = vec![format!("GET /?ids={ids}")];
        if viewer != Viewer::Anyone {
            let queries_of_all =
                ["?limit=100", "?limit=100&active=false", "active?limit=100", "?status=failed"];
            queries.extend(queries_of_all.map(|query| format!("GET /{query}")));
        }
        for query in queries {
            let page = document(&server.ask(&viewer, &query).await);
            let listed = page["jobs"].as_array().unwrap();
            assert!(!listed.is_empty(), "{viewer:?}: {query}");
            for record in listed {
                let id = record["job_id"].as_str().unwrap().parse().unwrap();
                assert!(
                    viewer.may_see(&server.record(id).await.unwrap()),
                    "{viewer:?}: {query}: {record}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_page_exists_only_if_it_was_asked_for() {
    let without = Server::new();
    let reply = without.ask(&Viewer::Admin, "GET /list.html").await;
    assert_eq!(reply, without.ask(&Viewer::Admin, "GET /unknown").await);
    assert_eq!(reply.status, 404);

    let server = Server::with(ProgressApi::with_page);
    server.create(NewProgress::new("test").with_owner("ann").with_title("secret")).await;
    let page = server.ask(&Viewer::Admin, "GET /list.html").await;
    assert_eq!(page.status, 200);
    for viewer in [ann(), Viewer::Owner("bob".to_owned()), Viewer::Anyone] {
        assert_eq!(server.ask(&viewer, "GET /list.html").await, page, "the same for {viewer:?}");
    }
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "trusted-types 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = std::str::from_utf8(&page.body).unwrap();
    assert!(!html.contains("secret"));
    // No script or style is inline, and every file is there.
    assert_eq!(html.matches("<script").count(), html.matches("</script>").count());
    assert!(!html.contains("<style") && html.contains("></script>"), "{html}");
    let files = html.split(['"']).filter_map(|text| text.strip_prefix("./"));
    let mut count = 0;
    for file in files {
        count += 1;
        assert_eq!(
            server.ask(&Viewer::Anyone, &format!("GET /{file}")).await.status,
            200,
            "{file}"
        );
    }
    assert_eq!(count, 3);
    let tag = page.header("etag").unwrap();
    let again = [("if-none-match", tag)];
    assert_eq!(server.ask_with(&ann(), "GET /list.html", &again).await.status, 304);
    let json = [("accept", "application/json")];
    assert_eq!(server.ask_with(&ann(), "GET /list.html", &json).await.status, 406);
    // Its links would lead elsewhere.
    assert_eq!(server.ask(&ann(), "GET /list.html/").await.status, 404);
}
