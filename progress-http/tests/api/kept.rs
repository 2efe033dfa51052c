//! Answers that are kept with a version: always those that would be made without keeping.

use std::sync::Arc;
use std::time::Duration;

use progress_core::{
    Completion, Delta, Jobs, MemoryStore, NewProgress, ProgressStore, ProgressUpdate,
};
use progress_http::{ProgressApi, Viewer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Debug, Clone)]
enum Step {
    /// Something is written, by this process or by another.
    Write { what: Written, is_own: bool },
    /// Time passes, in seconds.
    Wait(u64),
    /// Somebody polls, with the tag of the last answer or without it.
    Poll { viewer: usize, api: usize, knows_tag: bool },
}

#[derive(Debug, Clone, Copy)]
enum Written {
    Item,
    Heartbeat,
    Cancel,
    End,
    Again,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Written::{Again, Cancel, End, Heartbeat, Item};
    let write =
        (select(vec![Item, Item, Item, Heartbeat, Heartbeat, Cancel, End, Again]), any::<bool>());
    let write = write.prop_map(|(what, is_own)| Step::Write { what, is_own });
    let wait = select(vec![1, 3, 14, 16, 40]).prop_map(Step::Wait);
    let poll = (0..3_usize, 0..2_usize, any::<bool>());
    let poll = poll.prop_map(|(viewer, api, knows_tag)| Step::Poll { viewer, api, knows_tag });
    vec(prop_oneof![2 => write, 1 => wait, 3 => poll], 1..40)
}

const VIEWERS: [fn() -> Viewer; 3] =
    [|| Viewer::Owner("ann".to_owned()), || Viewer::Admin, || Viewer::Owner("bob".to_owned())];

fn apis(jobs: &Jobs) -> [ProgressApi; 2] {
    let api = ProgressApi::new(jobs.clone());
    [
        api.clone(),
        api.with_poll_after(Duration::from_secs(2)).with_stale_after(Duration::from_secs(30)),
    ]
}

async fn check(steps: Vec<Step>) {
    let store = Arc::new(MemoryStore::new());
    let jobs = progress_core::testing::jobs(store.clone());
    let kept = apis(&jobs);
    let new = NewProgress::new("test").with_owner("ann").with_total(20);
    let new = new.with_stall_after(Duration::from_secs(20));
    let id = store.create(&new).await.unwrap().id;
    let own: &dyn ProgressStore = jobs.store();
    let update = async |update: ProgressUpdate, is_own: bool| {
        let store = if is_own { own } else { &*store };
        // A job that has ended refuses most of them.
        let _ = store.update(id, &update).await;
        if !is_own {
            // A cached record may be 250 ms old.
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    update(ProgressUpdate::start(), true).await;
    let mut tags: [[Option<String>; 2]; 3] = Default::default();
    for step in steps {
        match step {
            Step::Wait(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            Step::Write { what, is_own } => match what {
                Written::Item => {
                    let item = Delta::new().with_succeeded(1).with_message("an item");
                    update(ProgressUpdate::advance(item), is_own).await;
                }
                Written::Heartbeat => update(ProgressUpdate::heartbeat(), is_own).await,
                Written::Cancel => update(ProgressUpdate::request_cancel(), is_own).await,
                Written::End => {
                    let end = ProgressUpdate::complete(Delta::new(), Completion::new());
                    update(end, is_own).await;
                }
                Written::Again => {
                    if own.delete(id).await.is_ok() {
                        own.create(&new.clone().with_id(id)).await.unwrap();
                        update(ProgressUpdate::start(), is_own).await;
                    }
                }
            },
            Step::Poll { viewer, api, knows_tag } => {
                let known = &mut tags[viewer][api];
                let if_none_match = known.as_deref().filter(|_| knows_tag);
                let viewer = VIEWERS[viewer]();
                let id = id.to_string();
                let found = kept[api].poll(&viewer, &id, if_none_match).await;
                let fresh = Jobs::with_freshness(store.clone(), Duration::ZERO);
                let expected = apis(&fresh)[api].poll(&viewer, &id, if_none_match).await;
                assert_eq!(found, expected, "{viewer:?}");
                *known = found.header("etag").map(str::to_owned);
            }
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_kept_answer_is_never_out_of_date(steps in steps()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(steps));
    }
}
