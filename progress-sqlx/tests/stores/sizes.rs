//! The size of logs.

use progress_core::{Delta, NewEntry, ProgressStore, ProgressUpdate};

use crate::{Database, running};

#[tokio::test]
async fn a_log_keeps_as_many_as_it_was_told() {
    let database = Database::new();
    for limit in [0, 1, 7] {
        let store = database.store().await.with_log_limit(limit);
        let job = running(&store).await;
        for turn in 0..10_u64 {
            let delta = (0..turn)
                .fold(Delta::new().with_dropped_entries(turn % 3), |delta, number| {
                    delta.with_entry(NewEntry::info(format!("{turn}.{number}")))
                });
            store.update(job.id, &ProgressUpdate::advance(delta)).await.unwrap();
        }
        let last = store.get(job.id).await.unwrap().unwrap().last_entry;
        let log = store.entries(job.id, 0, 100).await.unwrap();
        assert_eq!((log.entries.len(), log.dropped), (limit as usize, last - u64::from(limit)));
        let texts: Vec<_> = log.entries.iter().map(|entry| entry.message.clone()).collect();
        let newest: Vec<_> =
            (9 - u64::from(limit)..9).map(|number| format!("9.{number}")).collect();
        assert_eq!(texts, newest);
        if let Some(entry) = log.entries.last() {
            assert_eq!(entry.seq, last);
        }
    }
}
