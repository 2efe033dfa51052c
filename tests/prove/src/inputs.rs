//! Extreme numbers and text: every store keeps the same, readable record.

use progress_core::limits::{MAX_COUNT, MAX_ERROR, MAX_MESSAGE, MAX_TITLE};
use progress_core::testing::timeless;
use progress_core::{
    Completion, Delta, NewEntry, NewProgress, Progress, ProgressId, ProgressStore, ProgressUpdate,
    TotalChange,
};
use serde_json::json;

use crate::careless::{Bug, Careless};
use crate::place::{Place, runtime};
use crate::report::{Finding, Report};

const NUMBERS: [u64; 7] = [0, 1, MAX_COUNT - 1, MAX_COUNT, MAX_COUNT + 1, 1 << 63, u64::MAX];

fn texts(megabytes: usize) -> Vec<String> {
    vec![
        String::new(),
        "x".repeat(megabytes << 20),
        "NUL \0 in the middle".to_owned(),
        "carriage\r\nreturn: injected".to_owned(),
        "\u{1b}[2J\u{1b}]0;title\u{7} ANSI".to_owned(),
        "invoice_\u{202E}fdp.exe".to_owned(),
        format!("e{}", "\u{301}".repeat(10_000)),
        "𝒜𝓈𝓉𝓇𝒶𝓁 👩‍👩‍👧‍👦".repeat(300),
        "'; DROP TABLE progress_records; --".to_owned(),
        "%s $1 ?1 {0} \\u0000 \\".to_owned(),
    ]
}

pub(crate) fn run(report: &mut Report) {
    let megabytes = usize::try_from(report.rounds(64, 4)).unwrap();
    let model: Vec<_> =
        runtime().block_on(ask(&*runtime().block_on(Place::memory().open()), megabytes));
    for place in Place::all() {
        report.check(place.name, || {
            let runtime = runtime();
            let store = runtime.block_on(place.open());
            judge(&runtime.block_on(ask(&*store, megabytes)), &model)
        });
    }
    report.check("control", || {
        let (runtime, place) = (runtime(), Place::sqlite());
        let careless = runtime.block_on(Careless::open(place.url(), Bug::CutsBytes));
        judge(&runtime.block_on(ask(&*careless, megabytes)), &model).must_fail()
    });
}

fn judge(answers: &[Progress], model: &[Progress]) -> Finding {
    let different = answers.iter().zip(model).filter(|(answer, model)| answer != model).count();
    let is_bounded = answers.iter().all(is_bounded);
    Finding::new(
        different == 0 && is_bounded && answers.len() == model.len(),
        format_args!(
            "{different} of {} records differ from the model, \
             all within their bounds: {is_bounded}",
            model.len()
        ),
        "0, true",
    )
}

/// Stores each input and returns the records read afterwards.
async fn ask(store: &dyn ProgressStore, megabytes: usize) -> Vec<Progress> {
    let mut records = Vec::new();
    for number in NUMBERS {
        for total in NUMBERS {
            let id = store.create(&NewProgress::new("numbers").with_total(total)).await.unwrap().id;
            store.update(id, &ProgressUpdate::start()).await.unwrap();
            let delta = Delta::new()
                .with_succeeded(number)
                .with_failed(number)
                .with_total(TotalChange::Add(number));
            store.update(id, &ProgressUpdate::advance(delta)).await.unwrap();
            records.push(read(store, id).await);
        }
    }
    for text in texts(megabytes) {
        let job = NewProgress::new(text.clone())
            .with_title(text.clone())
            .with_completion_message(text.clone());
        let short: String = text.chars().take(100).collect();
        let id = store
            .create(&job.with_metadata(json!({short.clone(): [short.clone(), null, 1.5]})))
            .await
            .unwrap()
            .id;
        store.update(id, &ProgressUpdate::start()).await.unwrap();
        let entry = NewEntry::error(text.clone()).with_item(text.clone());
        let delta = Delta::new().with_message(text.clone()).with_entry(entry);
        store.update(id, &ProgressUpdate::advance(delta)).await.unwrap();
        assert_eq!(store.entries(id, 0, 10).await.unwrap().entries.len(), 1);
        let ending = if text.len() % 2 == 0 {
            ProgressUpdate::fail(Delta::new(), text.clone())
        } else {
            let completion = Completion::new()
                .with_message(text.clone())
                .try_with_result(json!([short]))
                .unwrap();
            ProgressUpdate::complete(Delta::new(), completion)
        };
        store.update(id, &ending).await.unwrap();
        records.push(read(store, id).await);
    }
    records
}

/// Reads a record without what differs between stores: its id and its times.
async fn read(store: &dyn ProgressStore, id: ProgressId) -> Progress {
    let mut progress = timeless(&store.get(id).await.unwrap().unwrap());
    progress.id = ProgressId::from_uuid(uuid::Uuid::nil());
    progress
}

fn is_bounded(progress: &Progress) -> bool {
    let fits =
        |text: &Option<String>, max| text.as_ref().is_none_or(|text| text.chars().count() <= max);
    [progress.succeeded, progress.failed, progress.processed(), progress.total.unwrap_or(0)]
        .iter()
        .all(|count| *count <= MAX_COUNT)
        && fits(&progress.title, MAX_TITLE)
        && fits(&progress.message, MAX_MESSAGE)
        && fits(&progress.completion_message, MAX_MESSAGE)
        && fits(&progress.error, MAX_ERROR)
}
