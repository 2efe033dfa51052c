//! The store on a real server, one for each test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests report failures by panicking")]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use progress_core::testing::Suite;
use progress_core::{
    Changed, Changes, Completion, Delta, NewEntry, NewProgress, ProgressError, ProgressId,
    ProgressQuery, ProgressStore, ProgressUpdate, Stamp, Status,
};
use progress_redis::RedisStore;
use progress_test_support::RedisServer;
use tokio::time::timeout;
use uuid::Uuid;

/// Returns a store that nothing else uses, and another handle on it.
async fn stores() -> [RedisStore; 2] {
    static SERVER: LazyLock<RedisServer> =
        LazyLock::new(|| RedisServer::or_say_so(&[]).expect("redis-server is needed"));
    let namespace = ProgressId::new().to_string();
    let first = RedisStore::connect(&SERVER.url()).await.unwrap().with_namespace(&namespace);
    let other = RedisStore::connect(&SERVER.url()).await.unwrap().with_namespace(&namespace);
    [first, other]
}

progress_core::conformance_tests!(conforms, 300, async || {
    let [store, other] = stores().await;
    Suite::new(Arc::new(store)).with_other_handle(Arc::new(other))
});

fn one() -> ProgressUpdate {
    ProgressUpdate::advance(Delta::new().with_succeeded(1))
}

fn stamped(writer: Uuid, seq: u64) -> ProgressUpdate {
    one().with_stamp(Stamp { writer, seq })
}

async fn running(store: &RedisStore) -> ProgressId {
    let id = store.create(&NewProgress::new("test")).await.unwrap().id;
    store.update(id, &ProgressUpdate::start()).await.unwrap();
    id
}

fn cause(error: &ProgressError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

#[tokio::test]
async fn a_server_that_would_forget_jobs_is_refused() {
    let Some(server) = RedisServer::or_say_so(&["--maxmemory-policy", "allkeys-lru"]) else {
        return;
    };
    let refusal = RedisStore::connect(&server.url()).await.unwrap_err();
    assert!(matches!(refusal, ProgressError::Setup(_)), "{refusal:?}");
    assert!(refusal.to_string().contains("noeviction instead of allkeys-lru"), "{refusal}");
}

#[tokio::test]
async fn a_wrong_address_or_login_is_an_error_without_the_password() {
    let Some(server) = RedisServer::or_say_so(&["--requirepass", "canary"]) else { return };
    let port = server.port();
    for url in [
        "http://canary@host/".to_owned(),
        "redis://:canary@host:99999/".to_owned(),
        "redis-sentinel://:canary@host".to_owned(),
        "redis-sentinel://:canary@host/x#master".to_owned(),
        format!("redis://127.0.0.1:{port}/"),
        format!("redis://:wrong-canary@127.0.0.1:{port}/"),
    ] {
        let refusal = RedisStore::connect(&url).await.unwrap_err();
        assert!(matches!(refusal, ProgressError::Setup(_)), "{url}: {refusal:?}");
        assert!(!cause(&refusal).contains("canary"), "{url}: {refusal:?}");
    }
    let nowhere = RedisStore::connect("redis://:canary@127.0.0.1:1/").await.unwrap_err();
    assert!(nowhere.is_transient() && !cause(&nowhere).contains("canary"), "{nowhere:?}");
    let store = RedisStore::connect(&format!("redis://:canary@127.0.0.1:{port}/")).await.unwrap();
    running(&store).await;
}

/// Counts, and kills the server again and again. With `always`, a count that was acknowledged is on
/// disk. With `everysec`, the system has it, which outlives the server's process but not its power.
#[tokio::test]
async fn an_acknowledged_count_survives_a_killed_server() {
    for when in ["always", "everysec"] {
        let options = ["--appendonly", "yes", "--appendfsync", when];
        let Some(mut server) = RedisServer::or_say_so(&options) else { return };
        let store = RedisStore::connect(&server.url()).await.unwrap();
        let id = running(&store).await;
        let (writer, mut acknowledged) = (Uuid::new_v4(), 0);
        for _ in 0..5 {
            let counting = tokio::spawn({
                let store = store.clone();
                async move {
                    let mut last = acknowledged;
                    while store.update(id, &stamped(writer, last + 1)).await.is_ok() {
                        last += 1;
                    }
                    last
                }
            });
            tokio::time::sleep(Duration::from_millis(50)).await;
            server.kill();
            acknowledged = counting.await.unwrap();
            server.start_again();
            let kept = store.get(id).await.unwrap().unwrap().succeeded;
            // The last one may have been written without an acknowledgement.
            assert!((acknowledged..=acknowledged + 1).contains(&kept), "{when}: {kept}");
            acknowledged = kept;
        }
        assert!(acknowledged > 20, "only {acknowledged} counts");
    }
}

/// The control of the test above: without a file, a killed server forgets.
#[tokio::test]
async fn a_killed_server_without_a_file_forgets() {
    let Some(mut server) = RedisServer::or_say_so(&[]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let id = running(&store).await;
    server.kill();
    server.start_again();
    assert_eq!(store.get(id).await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable_and_then_available_again() {
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let id = running(&store).await;
    let (read, write) = (Duration::from_millis(200), Duration::from_millis(400));
    let store = store.with_deadlines(read, write);
    server.signal("STOP");
    let begun = Instant::now();
    assert!(store.get(id).await.unwrap_err().is_transient());
    assert!(store.update(id, &one()).await.unwrap_err().is_transient());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    server.signal("CONT");
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.update(id, &one()).await.unwrap();
}

/// Lists of other databases are tested by their query plans.
#[tokio::test]
async fn a_list_reads_no_record_that_it_does_not_contain() {
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    for number in 0..300 {
        let job = NewProgress::new(format!("type {}", number % 2)).with_owner("ann");
        store.create(&job).await.unwrap();
    }
    let reads = async |query: ProgressQuery| {
        server.command("CONFIG RESETSTAT").unwrap();
        let found = store.list(&query).await.unwrap().items.len();
        let statistics = server.command("INFO commandstats").unwrap();
        let reads = statistics.lines().find_map(|line| line.strip_prefix("cmdstat_hmget:calls="));
        let reads = reads.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap());
        (found, reads)
    };
    let all = ProgressQuery::new;
    let owned = || all().with_owner("ann");
    for empty in [
        all().with_status(Status::Failed),
        all().with_finished(),
        all().with_task_type("type 2"),
        all().with_task_type("type 1").with_finished(),
        all().with_owner("bob"),
        owned().with_status(Status::Running),
        owned().with_task_type("type 2"),
        owned().with_task_type("type 1").with_status(Status::Cancelled),
    ] {
        assert_eq!(reads(empty.clone()).await, (0, 0), "{empty:?}");
    }
    // The control, and one more record to see whether a page follows.
    for full in [all(), owned().with_active(), all().with_task_type("type 1")] {
        assert_eq!(reads(full.clone().with_limit(20)).await, (20, 21), "{full:?}");
    }
}

/// As after a failover to a server that has never seen the scripts.
#[tokio::test]
async fn lost_scripts_are_sent_again() {
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let id = running(&store).await;
    for _ in 0..3 {
        assert_eq!(server.command("SCRIPT FLUSH").unwrap(), "+OK");
        let batch = [(id, one()), (id, one())];
        assert!(store.update_many(&batch).await.iter().all(Result::is_ok));
    }
    assert_eq!(store.get(id).await.unwrap().unwrap().succeeded, 6);
}

/// Waits until a subscription is live or not.
async fn until(changes: &mut Changes, is_live: bool) {
    let waited = timeout(Duration::from_secs(30), async {
        while changes.is_live() != is_live {
            changes.next().await;
        }
    });
    assert!(waited.await.is_ok(), "is_live() never became {is_live}");
}

async fn until_hint(changes: &mut Changes, id: ProgressId) {
    let waited = timeout(Duration::from_secs(30), async {
        while !matches!(changes.next().await, Changed::Records(found) if found.contains_key(&id)) {}
    });
    assert!(waited.await.is_ok(), "no hint");
}

#[tokio::test]
async fn a_subscription_recovers_and_says_that_it_missed_something() {
    let Some(mut server) = RedisServer::or_say_so(&["--appendonly", "yes"]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let id = running(&store).await;
    let mut changes = store.changes().unwrap();
    until(&mut changes, true).await;
    server.kill();
    until(&mut changes, false).await;
    server.start_again();
    until(&mut changes, true).await;
    store.update(id, &one()).await.unwrap();
    until_hint(&mut changes, id).await;
    let subscribers =
        || server.command("PUBSUB NUMSUB {progress}:changes").unwrap().contains("\r\n:1");
    assert!(subscribers());
    drop(changes);
    let begun = Instant::now();
    while subscribers() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it still listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Users created by Redis 7 have no permission for channels.
#[tokio::test]
async fn a_user_without_channels_can_do_everything_else() {
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let user = "ACL SETUSER app on >secret ~{progress}:* +@all";
    assert_eq!(server.command(user).unwrap(), "+OK");
    let url = format!("redis://app:secret@127.0.0.1:{}/", server.port());
    let store = RedisStore::connect(&url).await.unwrap();
    let mut changes = store.changes().unwrap();
    let id = running(&store).await;
    store.update(id, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    store.delete(id).await.unwrap();
    assert!(timeout(Duration::from_secs(2), changes.next()).await.is_err());
    assert!(!changes.is_live());
    assert_eq!(server.command("ACL SETUSER app &{progress}:changes").unwrap(), "+OK");
    until(&mut changes, true).await;
}

#[tokio::test]
async fn a_damaged_record_does_not_stop_the_others_of_its_batch() {
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (damaged, whole) = (running(&store).await, running(&store).await);
    let command = format!("HSET {{progress}}:record:{damaged} document damaged");
    assert_eq!(server.command(&command).unwrap(), ":0");
    let outcomes = store.update_many(&[(damaged, one()), (whole, one())]).await;
    assert!(matches!(outcomes[0], Err(ProgressError::Store(_))), "{:?}", outcomes[0]);
    assert_eq!(outcomes[1].as_ref().unwrap().succeeded, 1);
}

/// Full memory refuses writes, and not reads; the worker's counts wait.
#[tokio::test]
async fn full_memory_is_an_outage_and_not_an_end() {
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let id = running(&store).await;
    assert_eq!(server.command("CONFIG SET maxmemory 1").unwrap(), "+OK");
    let refusal = store.update(id, &one()).await.unwrap_err();
    assert!(refusal.is_transient(), "{refusal:?}");
    assert!(store.get(id).await.unwrap().is_some());
    assert_eq!(server.command("CONFIG SET maxmemory 0").unwrap(), "+OK");
    store.update(id, &one()).await.unwrap();
}

#[test]
fn a_store_outlives_the_runtimes_that_use_it() {
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime().block_on(RedisStore::connect(&server.url())).unwrap();
    let id = runtime().block_on(running(&store));
    for _ in 0..3 {
        runtime().block_on(store.update(id, &one())).unwrap();
    }
    let clients = runtime().block_on(store.get(id)).unwrap().unwrap().succeeded;
    assert_eq!(clients, 3);
}

#[tokio::test]
async fn deleted_records_leave_no_key() {
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut ids = Vec::new();
    for owner in ["ann", "{ann}", "ünï\n💡"] {
        let job = NewProgress::new("test").with_owner(owner).with_total(1);
        let id = store.create(&job).await.unwrap().id;
        store.update(id, &ProgressUpdate::start()).await.unwrap();
        let delta = Delta::new().with_succeeded(1).with_entry(NewEntry::info("text"));
        store.update(id, &ProgressUpdate::complete(delta, Completion::new())).await.unwrap();
        ids.push(id);
    }
    store.delete(ids[0]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(store.delete_finished(Duration::ZERO, 100).await.unwrap(), 2);
    assert_eq!(server.command("DBSIZE").unwrap(), ":0");
}

/// Three nodes share the slots, and all keys of a store have one hash tag. The control: without it,
/// a script that uses two keys is refused.
#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_cluster_keeps_all_keys_of_a_store_on_one_node() {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let bus = progress_test_support::free_port().to_string();
        let options = ["--cluster-enabled", "yes", "--cluster-port", &bus];
        let Some(node) = RedisServer::or_say_so(&options) else { return };
        nodes.push(node);
    }
    RedisServer::join_into_cluster(&nodes);
    let hosts: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let store = RedisStore::connect(&format!("redis-cluster://{}", hosts.join(","))).await.unwrap();
    // Each namespace is on a node of its own.
    for namespace in ["a", "b", "c", "d", "e", "f"] {
        let store = Arc::new(store.clone().with_namespace(namespace));
        let suite = Suite::new(store);
        for rule in [
            "several_at_once_are_as_one_by_one",
            "pages_hold_every_record_once_and_only_the_owners",
            "deletion_waits_for_the_end_and_leaves_nothing",
            "concurrent_counts_are_neither_lost_nor_doubled",
            "hints_tell_of_every_change",
        ] {
            suite.check(rule).await;
        }
    }
    let used = nodes.iter().filter(|node| node.command("DBSIZE").unwrap() != ":0").count();
    assert!(used >= 2, "only {used} of 3 nodes have keys");
    let refusal = nodes[0].command("EVAL \"return 1\" 2 record:1 running").unwrap();
    assert!(refusal.contains("CROSSSLOT"), "{refusal}");
}

#[cfg(feature = "sentinel")]
#[tokio::test]
async fn after_a_failover_the_store_finds_the_new_master() {
    let Some(mut master) = RedisServer::or_say_so(&[]) else { return };
    let port = master.port().to_string();
    let Some(replica) = RedisServer::or_say_so(&["--replicaof", "127.0.0.1", &port]) else {
        return;
    };
    let sentinel = master.sentinel();
    let url = format!("redis-sentinel://127.0.0.1:{}/0#main", sentinel.port());
    let store = RedisStore::connect(&url).await.unwrap();
    let id = running(&store).await;
    let mut changes = store.changes().unwrap();
    until(&mut changes, true).await;
    // The sentinel asks the master for its replicas every ten seconds.
    let begun = Instant::now();
    let knows_replica =
        || sentinel.command("SENTINEL REPLICAS main").unwrap().contains("127.0.0.1");
    while !knows_replica() || !master.command("WAIT 1 100").unwrap().contains(":1") {
        assert!(begun.elapsed() < Duration::from_secs(30), "no replica");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    master.kill();
    let (writer, killed) = (Uuid::new_v4(), Instant::now());
    while store.update(id, &stamped(writer, 1)).await.is_err() {
        assert!(killed.elapsed() < Duration::from_secs(30), "no new master");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.get(id).await.unwrap().unwrap().succeeded, 1);
    assert!(replica.command("ROLE").unwrap().contains("master"));
    until(&mut changes, true).await;
    store.update(id, &one()).await.unwrap();
    until_hint(&mut changes, id).await;
}

/// The certificate is not signed by a known authority. That is an error, and no panic of rustls.
#[cfg(feature = "tls")]
#[tokio::test]
async fn a_server_with_an_unknown_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| folder.path().join(name));
    let mut create = std::process::Command::new("openssl");
    create.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]);
    create.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    assert!(create.stderr(std::process::Stdio::null()).status().unwrap().success());
    let port = progress_test_support::free_port().to_string();
    let options = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        certificate.to_str().unwrap(),
        "--tls-key-file",
        key.to_str().unwrap(),
        "--tls-auth-clients",
        "no",
    ];
    let Some(_server) = RedisServer::or_say_so(&options) else { return };
    let refusal = RedisStore::connect(&format!("rediss://localhost:{port}/")).await.unwrap_err();
    assert!(cause(&refusal).contains("certificate"), "{refusal:?}");
}
