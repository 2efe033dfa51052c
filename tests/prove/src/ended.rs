//! Processes that are killed while jobs end: the hook for ended jobs is told of each of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::{
    BoxError, Jobs, NewProgress, Progress, ProgressId, ProgressQuery, ProgressStore, Status,
};
use tokio::task::JoinSet;

use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::signals::Worker;
use crate::worker::say;

/// How many jobs a process works on at the same time.
const TASKS: u64 = 6;
/// Short, so that the janitor of the next process ends the jobs of the one that was killed.
const LEASE: Duration = Duration::from_secs(1);
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);
const WORK: Duration = Duration::from_millis(10);
/// How long it takes to send a mail. Kills should meet many of them.
const MAIL: Duration = Duration::from_millis(20);
/// How long announcements may take after the last kill: the minute of the process that was killed,
/// and another one if the janitor that claimed them was killed as well.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) fn run(report: &mut Report) {
    let kills = report.rounds(200, 20);
    report.at_once(Place::shared().into_iter().map(|place| {
        let name = place.name.to_owned();
        let check: Waiting = Box::new(move || told(&place, "announced", kills));
        (name, check)
    }));
    // Control: an application that sends its mail itself when `run` and `cancel` return.
    report.check("control", || told(&Place::sqlite(), "by-hand", 20).must_fail());
}

/// Kills processes at any point, then lets one process announce what is left.
fn told(place: &Place, way: &str, kills: u32) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let mut told = HashMap::<ProgressId, u64>::new();
    let mut note = |line: &str| {
        if let Some(id) = line.strip_prefix("told ") {
            *told.entry(id.parse().unwrap()).or_default() += 1;
        }
    };
    for kill in 0..kills {
        let mut worker = Worker::start(&["end", place.url(), way]);
        for _ in 0..(1 + kill * 37 % 60) {
            note(&worker.line().expect("a worker works until it is killed"));
        }
        worker.kill().iter().for_each(|line| note(line));
    }
    let mut rest = Worker::start(&["announce", place.url(), way]);
    while let Some(line) = rest.line() {
        note(&line);
    }
    let jobs = runtime.block_on(all(&store));

    let ended: Vec<_> = jobs.iter().filter(|job| job.status.is_finished()).collect();
    let missed = ended.iter().filter(|job| !told.contains_key(&job.id)).count();
    let lost = ended.iter().filter(|job| job.status == Status::Failed).count();
    let open = jobs.iter().filter(|job| is_open(job)).count();
    let invented = told.keys().filter(|id| ended.iter().all(|job| job.id != **id)).count();
    let repeats: u64 = told.values().map(|times| times - 1).sum();
    Finding::new(
        missed == 0 && open == 0 && invented == 0,
        format_args!(
            "{missed} of {} endings missed ({lost} of lost workers), {repeats} told again, \
             {invented} told before the end, {open} not noted",
            ended.len()
        ),
        format_args!("0, any, 0, 0, after {kills} kills"),
    )
}

/// Whether a janitor still has to do something: the worker is dead, or the end is not announced.
fn is_open(job: &Progress) -> bool {
    match job.status {
        // Created by a process that was killed before it started the job.
        Status::Pending => false,
        Status::Running => true,
        _ => job.announce_at.is_some(),
    }
}

async fn all(store: &Arc<dyn ProgressStore>) -> Vec<Progress> {
    let (mut query, mut all) = (ProgressQuery::new().with_limit(100), Vec::new());
    loop {
        let page = store.list(&query).await.unwrap();
        all.extend(page.items);
        let Some(next) = page.next else { return all };
        query = query.with_cursor(next);
    }
}

/// What an application does when a job has ended.
async fn send_mail(job: Progress) -> Result<(), BoxError> {
    tokio::time::sleep(MAIL).await;
    say(format_args!("told {}", job.id));
    Ok(())
}

async fn process(url: &str, way: &str) -> Jobs {
    let jobs = Jobs::new(open(url).await);
    let jobs = if way == "announced" { jobs.on_ended(send_mail) } else { jobs };
    tokio::spawn(jobs.janitor().with_sweep_interval(SWEEP_INTERVAL).run());
    jobs
}

/// A process that creates, works and cancels without end.
pub(crate) async fn work(url: &str, rest: &[String]) {
    let [way] = rest else { panic!("end URL WAY") };
    let jobs = process(url, way).await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (jobs, is_by_hand) = (jobs.clone(), way == "by-hand");
        tasks.spawn(async move {
            for number in 0_u64.. {
                let job = NewProgress::new("prove").with_lease(LEASE);
                let job = jobs.create(job).await.unwrap();
                let ended = if number.is_multiple_of(4) {
                    jobs.cancel(job.id).await
                } else {
                    let work = async |_| {
                        tokio::time::sleep(WORK).await;
                        Ok(())
                    };
                    jobs.run(job.id, work).await
                };
                if is_by_hand {
                    send_mail(ended.unwrap()).await.unwrap();
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}

/// A process with a janitor alone, until nothing is left to do.
pub(crate) async fn announce(url: &str, rest: &[String]) {
    let [way] = rest else { panic!("announce URL WAY") };
    let _jobs = process(url, way).await;
    let (store, begun) = (open(url).await, Instant::now());
    while all(&store).await.iter().any(is_open) && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
