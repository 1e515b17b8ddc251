//! The store in Redis keeps the promises of a store, on a real redis-server, and its own.

mod redis_server;

use std::{ops::Deref, sync::Arc, time::Duration};

use metrifold_model::{Incarnation, Namespace, Values};
use metrifold_redis::{Client, ClientSettings};
use metrifold_redis::{Judgement, PushScript, PushSettings, RunId, parse_push_reply};
use metrifold_session::{Answer, Part, Payload, Push, ReapPolicy, ShardSnapshot, reap};
use metrifold_store::{
    CommitOutcome, EmbeddedSettings, EmbeddedStore, RedisSettings, RedisStore, ShardIndex, Store, StoreError,
    conformance::{self, TestSource, open, snapshot, total},
};
use redis_server::{RedisServer, reachable};

const SHARD: ShardIndex = ShardIndex(0);
/// So long that nothing settles within a test.
const NEVER: Duration = Duration::from_secs(3600);

struct Fresh {
    store: RedisStore,
    _server: RedisServer,
}

impl Deref for Fresh {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &self.store
    }
}

async fn fresh() -> Fresh {
    let server = RedisServer::start();
    Fresh { store: server.store(), _server: server }
}

metrifold_store::conformance_suite!(fresh);

/// The same where every source keeps its values beside its record.
mod with_values_beside_records {
    use super::{Fresh, RedisServer};

    async fn fresh() -> Fresh {
        let server = RedisServer::start();
        Fresh { store: server.store_with(|settings| settings.stage_above = 0), _server: server }
    }

    metrifold_store::conformance_suite!(fresh);
}

fn values(value: f64) -> Payload {
    Payload::Values(Values::from_slots(vec![value]))
}

fn namespace() -> Namespace {
    Namespace::default()
}

async fn restore(store: &RedisStore, memory: Option<&ShardSnapshot>) -> CommitOutcome {
    store.restore(&namespace(), SHARD, memory, NEVER).await.expect("the store is reachable")
}

#[tokio::test]
async fn sources_are_bounded() {
    let server = RedisServer::start();
    conformance::sources_are_bounded(&server.store_with(|settings| settings.sources_max = 3), 3).await;
}

// What proves that the script decides as `metrifold_session::accept`: the embedded store calls it.
#[tokio::test]
async fn the_scripts_decide_as_the_embedded_store() {
    let server = RedisServer::start();
    for seed in 1..=12 {
        server.command(&["FLUSHALL"]);
        let embedded = EmbeddedStore::open(EmbeddedSettings::default()).expect("the store opens");
        // Values in the record; beside it; beside it once the list has grown.
        let stage_above = [usize::MAX, 0, 3][usize::try_from(seed % 3).expect("small")];
        let store = server.store_with(|settings| settings.stage_above = stage_above);
        conformance::both_decide_alike(&embedded, &store, seed, 250).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_push_and_fold_at_once_and_stay_exact() {
    let server = RedisServer::start();
    let (one, two) = (server.store(), server.store());
    open(&one).await;
    conformance::two_stores_over_the_same_contents(&one, &two).await;
}

#[tokio::test]
async fn nothing_is_stored_before_a_server_opens_a_namespace() {
    let server = RedisServer::start();
    let store = server.store();
    let mut source = TestSource::new(1);
    assert_eq!(source.send(&store, Payload::Hello).await, Answer::Sealed);
    let before = snapshot(&store).await;
    assert!(before.head.sealed && before.head.epoch.is_none() && before.records.is_empty());
    open(&store).await;
    assert!(matches!(source.again(&store).await, Answer::Ok { .. }));
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_takes_nothing_until_it_is_restored_exactly() {
    let mut server = RedisServer::start();
    let store = server.store();
    open(&store).await;
    let mut living = TestSource::greet(1, &store, 5.0).await;
    let mut ended = TestSource::greet(2, &store, 0.0).await;
    ended.push.ended = true;
    ended.send_ok(&store, values(7.0)).await;
    let memory = snapshot(&store).await;
    server.kill();
    server.start_again();
    reachable(&store).await;

    living.push.seq = living.push.seq.next();
    assert_eq!(living.again(&store).await, Answer::Sealed);
    assert!(snapshot(&store).await.head.sealed);
    assert_eq!(restore(&store, Some(&memory)).await, CommitOutcome::Committed);
    let restored = snapshot(&store).await;
    assert_eq!((total(&restored), restored.records.len()), (12.0, 2));
    assert_ne!(restored.head.epoch, memory.head.epoch);
    living.send_ok(&store, values(6.0)).await;
    assert_eq!(total(&*snapshot(&store).await), 13.0);
}

#[tokio::test]
async fn a_redis_that_comes_back_older_is_sealed_before_any_push_or_commit() {
    let mut server = RedisServer::start();
    let store = server.store();
    open(&store).await;
    let mut source = TestSource::greet(1, &store, 5.0).await;
    assert_eq!(server.command(&["SAVE"]), "OK");
    source.send_ok(&store, values(9.0)).await;
    let memory = snapshot(&store).await;
    server.kill();
    server.start_again();
    reachable(&store).await;

    assert_eq!(source.send(&store, values(10.0)).await, Answer::Sealed, "no snapshot was read in between");
    let age = store.advance_age(&namespace(), SHARD, memory.head.age, memory.head.age).await;
    assert_eq!(age.expect("the store is reachable"), CommitOutcome::Conflict);
    let older = snapshot(&store).await;
    assert_eq!((older.head.sealed, total(&older)), (true, 5.0));
    assert_eq!(restore(&store, Some(&memory)).await, CommitOutcome::Committed);
    assert_eq!(total(&*snapshot(&store).await), 9.0);
    assert!(matches!(source.again(&store).await, Answer::Ok { .. }));
    assert_eq!(total(&*snapshot(&store).await), 10.0);
}

#[tokio::test]
async fn a_second_server_with_a_newer_memory_replaces_what_the_first_restored() {
    let server = RedisServer::start();
    let (one, two) = (server.store(), server.store());
    open(&one).await;
    let mut source = TestSource::greet(1, &one, 5.0).await;
    let older = snapshot(&one).await;
    source.send_ok(&one, values(9.0)).await;
    let mut newer = ShardSnapshot::clone(&*snapshot(&two).await);
    newer.head.counter += 1;
    server.command(&["FLUSHALL"]);

    assert_eq!(restore(&one, Some(&older)).await, CommitOutcome::Committed);
    let mut other = TestSource::new(2);
    other.send_ok(&one, Payload::Hello).await;
    other.send_ok(&one, values(3.0)).await;
    assert_eq!(restore(&two, Some(&newer)).await, CommitOutcome::Committed);
    let both = snapshot(&one).await;
    assert_eq!(total(&both), 12.0, "what was pushed after the first restore stays");
    assert_eq!(restore(&one, Some(&older)).await, CommitOutcome::Conflict, "nothing newer is known");
    assert_eq!(restore(&one, None).await, CommitOutcome::Conflict);
}

#[tokio::test]
async fn an_abandoned_restore_does_not_lose_what_was_pushed_before_it() {
    let server = RedisServer::start();
    let store = server.store();
    assert_eq!(restore(&store, None).await, CommitOutcome::Committed);
    TestSource::greet(1, &store, 5.0).await;
    // As a restorer that was killed after its claim left it.
    let archive = "metrifold:{metrifold/0}:archive";
    server.command(&["HSET", archive, "sealed", "2", "restorer", "00000000000000aa"]);
    assert!(snapshot(&store).await.head.sealed);
    let mut newer = ShardSnapshot::default();
    newer.head.counter = 4;
    assert_eq!(restore(&store, Some(&newer)).await, CommitOutcome::Committed);
    let after = snapshot(&store).await;
    assert_eq!((total(&after), after.head.counter, after.head.sealed), (5.0, 4, false));
}

#[tokio::test]
async fn a_forgotten_script_is_sent_again() {
    let server = RedisServer::start();
    let store = server.store();
    open(&store).await;
    let mut source = TestSource::greet(1, &store, 5.0).await;
    server.command(&["SCRIPT", "FLUSH"]);
    source.send_ok(&store, values(6.0)).await;
    assert_eq!(total(&*snapshot(&store).await), 6.0);
}

#[tokio::test]
async fn a_full_redis_refuses_pushes_by_name_and_still_folds() {
    let server = RedisServer::start();
    let store = server.store();
    open(&store).await;
    let mut source = TestSource::greet(1, &store, 5.0).await;
    let mut ended = TestSource::greet(2, &store, 0.0).await;
    ended.push.ended = true;
    ended.send_ok(&store, values(7.0)).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);

    source.push.seq = source.push.seq.next();
    source.push.payload = values(6.0);
    let refused = store.push(&namespace(), &source.push).await.expect_err("there is no memory");
    assert!(matches!(&refused, StoreError::Refused(words) if words.contains("OOM")), "{refused}");
    assert!(matches!(store.check().await, Err(StoreError::Full(words)) if words.contains("maxmemory")));
    // A server that comes only now.
    let store = server.store();
    let age = snapshot(&store).await.head.age;
    let aged = store.advance_age(&namespace(), SHARD, age, age + Duration::from_secs(1)).await;
    assert_eq!(aged.expect("the clock goes on"), CommitOutcome::Committed);
    let policy = metrifold_session::ReapPolicy { settle: Duration::ZERO, ..Default::default() };
    let due = metrifold_session::reap(&*snapshot(&store).await, &policy).expect("one source has ended");
    let outcome = store.commit(&namespace(), SHARD, &due).await.expect("folding frees memory");
    assert_eq!(outcome, CommitOutcome::Committed);
    let after = snapshot(&store).await;
    assert_eq!((total(&after), after.records.len(), after.tombstones.len()), (12.0, 1, 1));
}

#[tokio::test]
async fn an_evicting_policy_is_refused_with_the_reason() {
    let server = RedisServer::start();
    let store = server.store();
    store.check().await.expect("the default policy does not evict");
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let refused = store.check().await.expect_err("it evicts").to_string();
    assert!(refused.contains("allkeys-lru") && refused.contains("noeviction"), "{refused}");
}

#[tokio::test]
async fn another_number_of_shards_is_refused_by_number() {
    let server = RedisServer::start();
    let (four, one) = (server.store_with(|settings| settings.shards = 4), server.store());
    for shard in 0..4 {
        let outcome = four.restore(&namespace(), ShardIndex(shard), None, NEVER).await;
        assert_eq!(outcome.expect("the store is reachable"), CommitOutcome::Committed);
    }
    for incarnation in 1..20 {
        TestSource::greet(incarnation, &four, 1.0).await;
    }
    let mut sum = 0.0;
    for shard in 0..4 {
        sum += total(&four.snapshot(&namespace(), ShardIndex(shard)).await.expect("reachable"));
    }
    assert_eq!(sum, 19.0);
    let refused = one.push(&namespace(), &TestSource::new(1).push).await.expect_err("it has four");
    assert!(
        matches!(&refused, StoreError::Refused(words) if words.contains("redis.shards to 4")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_read_fetches_only_what_changed() {
    let server = RedisServer::start();
    let store = server.store();
    open(&store).await;
    let mut changing = TestSource::greet(1, &store, 5.0).await;
    TestSource::greet(2, &store, 5.0).await;
    let first = snapshot(&store).await;
    changing.send_ok(&store, values(6.0)).await;
    let second = snapshot(&store).await;
    let is_same = |one| Arc::ptr_eq(&first.records[&Incarnation(one)], &second.records[&Incarnation(one)]);
    assert!(is_same(2) && !is_same(1));
    assert!(Arc::ptr_eq(&first.archive, &second.archive));
    assert_eq!(total(&second), 11.0);
}

#[tokio::test]
async fn a_source_that_expired_unfolded_is_counted_as_lost() {
    let server = RedisServer::start();
    let store = server.store();
    open(&store).await;
    TestSource::greet(1, &store, 5.0).await;
    let record = "metrifold:{metrifold/0}:w:0000000000000001";
    let expiry: u64 = server.command(&["TTL", record]).parse().expect("it expires");
    assert!(expiry > 24 * 3600, "{expiry} s");
    server.command(&["DEL", record]);
    assert!(snapshot(&store).await.records.is_empty());
    assert_eq!(store.sources_expired_total(), 1);
    assert_eq!(server.command(&["ZCARD", "metrifold:{metrifold/0}:workers"]), "0");
}

/// Values beside a record live and die with it.
#[tokio::test]
async fn values_kept_beside_a_record_are_renewed_folded_and_missed() {
    let server = RedisServer::start();
    let store = server.store_with(|settings| settings.stage_above = 0);
    open(&store).await;
    let mut source = TestSource::greet(1, &store, 5.0).await;
    let (record, beside) =
        ("metrifold:{metrifold/0}:w:0000000000000001", "metrifold:{metrifold/0}:v:0000000000000001");
    assert_eq!(server.command(&["HGET", record, "v"]), "@");
    assert_eq!(server.command(&["KEYS", "*:s:*"]), "", "nothing stays where it was staged");
    server.command(&["EXPIRE", beside, "100"]);
    source.send_ok(&store, Payload::Unchanged).await;
    let expiry: u64 = server.command(&["TTL", beside]).parse().expect("it expires");
    assert!(expiry > 24 * 3600, "{expiry} s");
    assert_eq!(total(&*snapshot(&store).await), 5.0);

    // Values that were staged, and have gone before the script came.
    let call = PushScript::new(&namespace(), 0, PushSettings { stage_above: 0, ..PushSettings::new(1) });
    let push = Push { seq: source.push.seq.next(), payload: values(6.0), ..source.push.clone() };
    let call = call.call(&push, Judgement::Sound);
    let info = server.command(&["INFO", "server"]);
    let run = info.lines().find_map(|line| line.trim().strip_prefix("run_id:")).expect("a run id");
    let words = call.eval(&RunId::new(run).expect("a run id"));
    let address = format!("redis://{}", server.address()).parse().expect("an address");
    let client = Client::new(ClientSettings::new(address)).expect("good settings");
    let reply = client.command(record, words, Duration::from_secs(10)).await.expect("it answers");
    assert_eq!(parse_push_reply(&reply), Ok(Answer::NeedValues));
    assert_eq!(total(&*snapshot(&store).await), 5.0);

    server.command(&["RENAME", beside, "elsewhere"]);
    let missing = server.store().snapshot(&namespace(), SHARD).await.expect_err("values are missing");
    assert!(matches!(&missing, StoreError::Corrupt(words) if words.contains(beside)), "{missing}");
    server.command(&["RENAME", "elsewhere", beside]);
    source.push.ended = true;
    source.send_ok(&store, Payload::Unchanged).await;
    let folded = snapshot(&store).await;
    let commit =
        reap(&folded, &ReapPolicy { settle: Duration::ZERO, ..ReapPolicy::default() }).expect("it has ended");
    let outcome = store.commit(&namespace(), SHARD, &commit).await.expect("the store is reachable");
    assert_eq!(outcome, CommitOutcome::Committed);
    assert_eq!(server.command(&["EXISTS", record, beside]), "0");
    assert_eq!(total(&*snapshot(&store).await), 5.0);
}

/// The rights of the crate documentation of `metrifold_redis`; those that only large values need are shown here, the
/// others with whole servers and workers.
#[tokio::test]
async fn a_user_with_few_commands_may_keep_values_beside_records() {
    let server = RedisServer::start();
    let mut user = vec!["ACL", "SETUSER", "app", "on", ">pw"];
    let rights = "~metrifold:* -@all +eval +evalsha +hset +hget +hmget +hgetall +hsetnx +hdel +hlen +hincrby +zadd \
                  +zcard +zrange +zrem +set +get +rename +del +unlink +exists +pexpire +time +info +sadd +smembers";
    user.extend(rights.split_whitespace());
    assert_eq!(server.command(&user), "OK");
    let address = format!("redis://app:pw@{}", server.address());
    let store = server.store_with(|settings| {
        settings.stage_above = 0;
        settings.address = address.parse().expect("an address");
    });
    open(&store).await;
    TestSource::greet(1, &store, 5.0).await;
    assert_eq!(total(&*snapshot(&store).await), 5.0);
}

const KEY: &str = "metrifold:{metrifold/0}";

/// Folds every record that can be read.
async fn fold_all(store: &RedisStore) {
    let mut snapshot = ShardSnapshot::clone(&*snapshot(store).await);
    snapshot.head.settling = false;
    snapshot.now = snapshot.now + Duration::from_millis(1);
    let policy = ReapPolicy { ttl: Some(Duration::ZERO), ..ReapPolicy::default() };
    let commit = reap(&snapshot, &policy).expect("something is due");
    let outcome = store.commit(&namespace(), SHARD, &commit).await.expect("reachable");
    assert_eq!(outcome, CommitOutcome::Committed);
}

/// A damaged record, one of a newer format, a damaged tombstone and names that are none cost nobody else anything: what can
/// be read is shown and folded, by a server that knows the shard and by one that comes anew, and a wipe removes all of it.
#[tokio::test]
async fn what_cannot_be_read_is_set_aside_alone_and_goes_with_a_wipe() {
    let server = RedisServer::start();
    let store = server.store();
    open(&store).await;
    TestSource::greet(1, &store, 5.0).await;
    fold_all(&store).await;
    for (source, value) in [(2, 7.0), (3, 11.0), (4, 13.0)] {
        TestSource::greet(source, &store, value).await;
    }
    server.command(&["HSET", &format!("{KEY}:tombs"), "0000000000000001", "nonsense"]);
    server.command(&[
        "HSET",
        &format!("{KEY}:folds"),
        "0000000000000001",
        "00000000000000000009",
        "junk",
        "x",
    ]);
    server.command(&[
        "HSET",
        &format!("{KEY}:w:0000000000000002"),
        "v",
        "nonsense",
        "vs",
        "00000000000000000009",
    ]);
    server.command(&["HSET", &format!("{KEY}:w:0000000000000003"), "dh", "short"]);
    server.command(&["ZADD", &format!("{KEY}:workers"), "1", "junk"]);
    // A commit by somebody else, so that nothing is taken from what was read before.
    server.command(&["HSET", &format!("{KEY}:archive"), "version", "00000000000000aa"]);
    let aside = [Part::Record(Incarnation(2)), Part::Record(Incarnation(3)), Part::Tombstone(Incarnation(1))];
    for store in [&store, &server.store()] {
        let seen = snapshot(store).await;
        assert_eq!((total(&seen), seen.records.len()), (18.0, 1));
        let named: Vec<_> = seen.unreadable.keys().copied().collect();
        assert_eq!(named, aside);
        let reasons = seen.unreadable.values().map(AsRef::as_ref).collect::<Vec<_>>().join("; ");
        assert!(reasons.contains("a values blob") && reasons.contains("8 bytes"), "{reasons}");
    }
    fold_all(&store).await;
    let folded = snapshot(&store).await;
    assert_eq!((total(&folded), folded.records.len(), folded.unreadable.len()), (18.0, 0, 3));

    let wiped =
        store.commit(&namespace(), SHARD, &metrifold_session::wipe(&folded)).await.expect("reachable");
    assert_eq!(wiped, CommitOutcome::Committed);
    let empty = snapshot(&store).await;
    assert_eq!((total(&empty), empty.unreadable.len(), empty.tombstones.len()), (0.0, 0, 0));
    assert_eq!(server.command(&["KEYS", &format!("{KEY}:w:*")]), "");
}

#[tokio::test]
async fn without_its_archive_a_shard_is_neither_shown_nor_changed_but_can_be_wiped() {
    let server = RedisServer::start();
    let store = server.store();
    open(&store).await;
    TestSource::greet(1, &store, 5.0).await;
    server.command(&["HSET", &format!("{KEY}:archive"), "blob", "nonsense", "version", "00000000000000aa"]);
    let seen = snapshot(&store).await;
    assert!(seen.unreadable_archive().is_some_and(|reason| reason.contains("an archive blob")));
    let error = store.restore(&namespace(), SHARD, None, NEVER).await.expect_err("it would be lost");
    assert!(matches!(&error, StoreError::Corrupt(words) if words.contains("the archive")), "{error}");
    store.commit(&namespace(), SHARD, &metrifold_session::wipe(&seen)).await.expect("reachable");
    assert_eq!(total(&*snapshot(&store).await), 5.0);
}

#[tokio::test]
async fn a_redis_that_is_down_is_unavailable_and_comes_back_by_itself() {
    let mut server = RedisServer::start();
    server.kill();
    let store = server.store_with(|settings| settings.command_timeout = Duration::from_millis(200));
    let down = store.push(&namespace(), &TestSource::new(1).push).await.expect_err("nobody listens");
    assert!(down.is_retryable(), "{down}");
    server.start_again();
    reachable(&store).await;
    open(&store).await;
    TestSource::greet(1, &store, 5.0).await;
}

#[tokio::test]
async fn passwords_are_checked_and_never_shown() {
    let server = RedisServer::start();
    server.command(&["CONFIG", "SET", "requirepass", "secret-one"]);
    let settings = |password: &str| {
        RedisSettings::new(format!("redis://:{password}@{}", server.address()).parse().expect("an address"))
    };
    let wrong = settings("wrong-two");
    assert!(!format!("{wrong:?}").contains("wrong-two"));
    let store = RedisStore::connect(wrong).expect("the settings are good");
    let refused = store.check().await.expect_err("the password is wrong");
    assert!(matches!(&refused, StoreError::Refused(words) if words.contains("WRONGPASS")), "{refused}");
    assert!(!refused.to_string().contains("wrong-two"));
    let right = RedisStore::connect(settings("secret-one"));
    reachable(&right.expect("the settings are good")).await;
}
