use std::{ops::ControlFlow, sync::Arc};

use shadow::{Channel, Resource, Vantage};
use sqlx::query;

use super::super::super::{
    dialect::at,
    testing::{Place, connection},
};
use crate::{
    allocate::proposals::{Fate, Proposal},
    history::{Column, Filter, History, MAX_ROWS, Resolution},
    store::{
        Batch, Rollup, Store as _,
        archive::{self, Stored},
        testing::{SINCE, full_batch, stream, uses},
    },
    testing,
};

const ALL: std::ops::Range<i64> = 0..i64::MAX;

fn filter() -> Filter {
    Filter {
        hosts: Vec::new(),
        resource: None,
        within: ALL,
        limit: 100,
    }
}

/// Rows of ten seconds of two hours and more, each of them with the number of its row, and their minutes.
fn hours() -> Batch {
    let host: Arc<str> = "web-1".into();
    let row = |begin_ms: i64, step_ms: i64, mean: f32, max: f32| {
        let of = |value: f32| {
            let mut channels = [f32::NAN; 7];
            channels[Channel::NetworkRx.index()] = value;
            channels
        };
        let rollup = Rollup {
            step_ms,
            coverage: 1.0,
            mean: of(mean),
            max: of(max),
            min: of(f32::NAN),
            last: of(f32::NAN),
            p95: of(f32::NAN),
        };
        ((Arc::clone(&host), begin_ms), rollup)
    };
    let fine = |number: i64| row(number * 10_000, 10_000, number as f32, 2.0 * number as f32);
    let minute = |number: i64| row(number * 60_000, 60_000, number as f32, number as f32 + 0.5);
    Batch {
        hosts: [(Arc::clone(&host), 7_290_000)].into(),
        rollups: (0..730).map(fine).collect(),
        minutes: (0..122).map(minute).collect(),
        ..Batch::default()
    }
}

#[tokio::test]
async fn a_command_is_told_with_its_answers_and_what_was_used_after_it() {
    let Some(place) = Place::new() else { return };
    let mut batch = full_batch();
    let mut failed = batch.outcomes[0].clone();
    (failed.state, failed.time_ms) = (shadow::OutcomeState::Failed, 62_000);
    batch.outcomes.push(failed);
    let mut later = batch.commands[0].clone();
    (later.id, later.issued_ms, later.sequence) = ("1-web-1-2".into(), 120_000, 2);
    batch.commands.push(later);
    let minute = |at: i64, cores: f32| (("web-1".into(), "web".to_owned(), at * 60_000), uses(1.0, cores));
    batch.workloads = [minute(0, 0.5), minute(1, 1.0), minute(2, 2.0)].into();
    let mut store = place.open().await;
    store.write(&batch).await.unwrap();
    store.write(&batch).await.unwrap();
    let mut history = History::open(&place.database()).await.unwrap();
    let story = history.story("1-web-1-1", 120_000).await.unwrap().unwrap();
    assert_eq!(story.command, batch.commands[0]);
    assert_eq!(story.outcomes, batch.outcomes);
    let ids: Vec<&str> = story.later.iter().map(|command| command.id.as_str()).collect();
    assert_eq!(ids, ["1-web-1-2"]);
    let used: Vec<_> = story.uses[0]
        .iter()
        .map(|uses| (uses.begin_ms, uses.cpu_cores, uses.memory_bytes))
        .collect();
    assert_eq!(used, [(60_000, Some(1.0), None), (120_000, Some(2.0), None)]);
    assert_eq!(history.story("1-web-1-9", 1).await.unwrap(), None);
    let plans = history.plans(&(0..120_000), 5).await.unwrap();
    assert_eq!((plans.rows, plans.more), (batch.plans.clone(), false));
    let saved = history.savings(&(0..1)).await.unwrap().rows;
    assert_eq!(
        (saved.len(), saved[0].saved),
        (1, crate::store::testing::saving()),
        "twice is once"
    );
    assert_eq!(history.savings(&(1..2)).await.unwrap().rows, []);
    history.close().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn series_are_told_at_the_resolution_that_the_time_asks_for() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    store.write(&hours()).await.unwrap();
    let mut history = History::open(&place.database()).await.unwrap();
    let columns = Column::of(Some(Resource::Network));
    let mut series =
        async |within: std::ops::Range<i64>, wanted| history.series("web-1", &columns, &within, wanted).await.unwrap();
    let fine = series(20_000..50_000, (None, 2_000)).await;
    assert_eq!((fine.resolution, fine.more), (Resolution::TenSeconds, false));
    assert_eq!(fine.rows.begin_ms, [20_000, 30_000, 40_000], "the end is not of it");
    assert_eq!(fine.rows.coverage, [1.0; 3]);
    let known: Vec<_> = fine
        .rows
        .known()
        .map(|(column, values)| (column.name(), values))
        .collect();
    let expected = [
        ("network_rx_bytes_per_s".to_owned(), &[2.0, 3.0, 4.0][..]),
        ("network_rx_bytes_per_s_max".to_owned(), &[4.0, 6.0, 8.0]),
    ];
    assert_eq!(known, expected);

    let minutes = series(0..7_300_000, (None, 200)).await;
    assert_eq!((minutes.resolution, minutes.rows.len()), (Resolution::Minute, 122));
    let first: Vec<_> = minutes.rows.known().map(|(_, values)| values[0]).collect();
    assert_eq!(first, [0.0, 0.5], "the mean and the peak");
    let hours = series(0..7_300_000, (None, 100)).await;
    assert_eq!(
        (hours.resolution, hours.rows.begin_ms),
        (Resolution::Hour, vec![0, 3_600_000])
    );
    let cut = series(0..7_300_000, (Some(Resolution::TenSeconds), 3)).await;
    assert_eq!(
        (cut.rows.begin_ms, cut.more),
        (vec![7_270_000, 7_280_000, 7_290_000], true)
    );
    assert!(series(8_000_000..9_000_000, (None, 10)).await.rows.is_empty());

    let page = (Resolution::TenSeconds, 700);
    let first = history.page("web-1", &columns, &ALL, page).await.unwrap();
    assert_eq!((first.len(), first.begin_ms[699]), (700, 6_990_000));
    let rest = history
        .page("web-1", &columns, &(6_990_001..i64::MAX), page)
        .await
        .unwrap();
    assert_eq!((rest.len(), rest.begin_ms[0]), (30, 7_000_000));
    assert_eq!(history.page("web-2", &columns, &ALL, page).await.unwrap().len(), 0);
    history.close().await.unwrap();
}

/// What was proposed, who said what to it, and what the agent answered.
#[tokio::test]
async fn a_proposal_is_told_as_it_stands_with_the_newest_answer() {
    let Some(place) = Place::new() else { return };
    let mut batch = full_batch();
    let approved = batch.proposals.values().next().unwrap().clone();
    let waits = Proposal {
        id: "1-web-1-p2".to_owned(),
        made_ms: 90_000,
        fate: Fate::Open,
        decided_ms: None,
        by: String::new(),
        command_id: None,
        ..approved.clone()
    };
    batch.proposals.insert(waits.id.clone(), waits.clone());
    let mut store = place.open().await;
    store.write(&batch).await.unwrap();
    let mut history = History::open(&place.database()).await.unwrap();
    let answered = Proposal {
        outcome: Some(batch.outcomes[0].clone()),
        ..approved.clone()
    };
    let told = history.proposals(&filter()).await.unwrap();
    assert_eq!((told.rows, told.more), (vec![answered.clone(), waits.clone()], false));
    let of_memory = Filter {
        resource: Some(Resource::Memory),
        ..filter()
    };
    assert_eq!(history.proposals(&of_memory).await.unwrap().rows, []);
    for id in [&approved.id, approved.command_id.as_ref().unwrap()] {
        assert_eq!(history.proposal(id).await.unwrap().as_ref(), Some(&answered));
    }
    assert_eq!(history.proposal("1-web-1-p3").await.unwrap(), None);

    let declined = Proposal {
        fate: Fate::Declined,
        decided_ms: Some(95_000),
        by: "ben".to_owned(),
        reason: "not\0 today".to_owned(),
        ..waits
    };
    batch.proposals = [(declined.id.clone(), declined.clone())].into();
    store.write(&batch).await.unwrap();
    let newest = Filter { limit: 1, ..filter() };
    let told = history.proposals(&newest).await.unwrap();
    let kept = Proposal {
        reason: "not\u{fffd} today".to_owned(),
        ..declined
    };
    assert_eq!((told.rows, told.more), (vec![kept], true));
    assert!(store.recover(SINCE).await.unwrap().has_proposals);
    history.close().await.unwrap();
    store.close().await.unwrap();
}

/// A second command and forecast, of memory, and a second outcome of the first command.
fn two_of_each() -> Batch {
    let mut batch = full_batch();
    let mut command = batch.commands[0].clone();
    (command.id, command.issued_ms) = ("2".into(), 90_000);
    command.changes[0].resource = Resource::Memory;
    command.changes[0].explanation.text = "not \"resource\":\"cpu\" at all".into();
    batch.commands.push(command);
    let (host, mut forecast) = batch.forecasts[0].clone();
    (forecast.resource, forecast.made_ms) = (Resource::Memory, 90_000);
    batch.forecasts.push((host, forecast));
    batch.outcomes[0].time_ms = 62_000;
    batch.outcomes[0].state = shadow::OutcomeState::Expired;
    batch
}

#[tokio::test]
async fn records_are_told_as_they_were_the_newest_where_not_all() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let batch = two_of_each();
    store.write(&full_batch()).await.unwrap();
    store.write(&batch).await.unwrap();
    let mut history = History::open(&place.database()).await.unwrap();

    let hosts = history.hosts().await.unwrap().rows;
    assert_eq!(
        (hosts.len(), &*hosts[0].host, hosts[0].last_sample_ms),
        (1, "web-1", 69_000)
    );
    assert_eq!(
        hosts[0].agent_version.as_deref(),
        Some(&*testing::birth(7).agent_version)
    );

    let commands = history.commands(&filter()).await.unwrap();
    let ids: Vec<_> = commands.rows.iter().map(|row| &*row.command.id).collect();
    assert_eq!((ids, commands.more), (vec!["1-web-1-1", "2"], false));
    assert_eq!(
        commands.rows[0].outcome.as_ref(),
        Some(&batch.outcomes[0]),
        "the newest"
    );
    assert_eq!(
        (&commands.rows[0].command, &commands.rows[1].outcome),
        (&batch.commands[0], &None)
    );
    let forecasts = history.forecasts(&filter()).await.unwrap();
    let told: Vec<_> = forecasts.rows.iter().map(|row| row.forecast.clone()).collect();
    assert_eq!(told, [batch.forecasts[0].1.clone(), batch.forecasts[1].1.clone()]);
    let events = history.events(&filter()).await.unwrap();
    assert_eq!(
        events.rows.iter().map(|event| event.time_ms).collect::<Vec<_>>(),
        [60_000, 61_000]
    );
    let anomalies = history.anomalies(&filter()).await.unwrap();
    assert_eq!(
        (anomalies.rows[0].since_ms, anomalies.rows[0].until_ms),
        (60_000, 70_000)
    );
    let incidents = history.incidents(&filter()).await.unwrap();
    assert_eq!(incidents.rows.len(), 1, "of every resource");
    let told = &incidents.rows[0];
    assert_eq!((told.since_ms, told.goes_on, told.severity), (60_000, true, "critical"));
    assert_eq!(
        (told.acknowledged_ms, &*told.cause),
        (Some(65_000), "uncorrected error")
    );
    let earlier = Filter {
        within: 0..60_000,
        ..filter()
    };
    assert_eq!(history.incidents(&earlier).await.unwrap().rows.len(), 0);
    let one = Filter { limit: 1, ..filter() };
    let newest = history.commands(&one).await.unwrap();
    assert_eq!((&*newest.rows[0].command.id, newest.rows.len()), ("2", 1));
    assert!(newest.more);
}

#[tokio::test]
async fn records_are_found_by_host_resource_and_time() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    store.write(&two_of_each()).await.unwrap();
    let mut history = History::open(&place.database()).await.unwrap();
    // What each filter leaves: commands, forecasts, events, anomalies.
    for (narrow, left) in [
        (
            Filter {
                hosts: vec!["web-2".into()],
                ..filter()
            },
            [0, 0, 0, 0],
        ),
        (
            Filter {
                hosts: vec!["web-2".into(), "web-1".into()],
                ..filter()
            },
            [2, 2, 2, 1],
        ),
        (
            Filter {
                resource: Some(Resource::Cpu),
                ..filter()
            },
            [1, 1, 2, 1],
        ),
        (
            Filter {
                resource: Some(Resource::Memory),
                ..filter()
            },
            [1, 1, 2, 0],
        ),
        (
            Filter {
                within: 61_000..90_000,
                ..filter()
            },
            [0, 0, 1, 1],
        ),
        (
            Filter {
                within: 70_001..90_001,
                ..filter()
            },
            [1, 1, 0, 0],
        ),
        (
            Filter {
                within: 0..60_000,
                ..filter()
            },
            [0, 0, 0, 0],
        ),
    ] {
        let found = [
            history.commands(&narrow).await.unwrap().rows.len(),
            history.forecasts(&narrow).await.unwrap().rows.len(),
            history.events(&narrow).await.unwrap().rows.len(),
            history.anomalies(&narrow).await.unwrap().rows.len(),
        ];
        assert_eq!(found, left, "{narrow:?}");
    }
}

#[tokio::test]
async fn a_reader_can_change_nothing_and_the_brain_goes_on() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    store.write(&full_batch()).await.unwrap();
    let mut history = History::open(&place.database()).await.unwrap();
    assert_eq!(history.hosts().await.unwrap().rows.len(), 1);
    let mut reader = crate::store::reader::Reader::open(&place.database(), None)
        .await
        .unwrap();
    let error = crate::store::reader::ask!(reader, read::tests::change()).unwrap_err();
    assert!(error.to_string().contains("read"), "{error}");
    let mut batch = full_batch();
    batch.hosts.insert("web-2".into(), 5);
    store.write(&batch).await.unwrap();
    assert_eq!(history.hosts().await.unwrap().rows.len(), 2);
}

#[tokio::test]
async fn that_there_are_more_hosts_than_are_told_is_said() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let mut history = History::open(&place.database()).await.unwrap();
    for (from, more) in [(1, false), (0, true)] {
        let insert = "WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
                      INSERT INTO hosts SELECT 'h' || i, $2, $2 FROM n WHERE true ON CONFLICT DO NOTHING";
        query(insert)
            .bind(from)
            .bind(at(5))
            .execute(connection(&mut store))
            .await
            .unwrap();
        let told = history.hosts().await.unwrap();
        assert_eq!((told.rows.len(), told.more), (MAX_ROWS, more));
    }
}

/// What a reader must not be able to do.
pub(in crate::store) async fn change(from: &mut super::Connection) -> Result<(), sqlx::Error> {
    query("DELETE FROM hosts").execute(from).await.map(drop)
}

#[tokio::test]
async fn what_is_no_history_is_named() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    for (sql, told) in [
        (
            "UPDATE _sqlx_migrations SET version = -version",
            "its schema has version -1",
        ),
        ("ALTER TABLE births RENAME TO letters", "not a brain's database"),
    ] {
        query(sql).execute(connection(&mut store)).await.unwrap();
        let error = History::open(&place.database()).await.err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test]
async fn what_was_told_is_read_from_every_database() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open().await;
    let batch = full_batch();
    store.write(&batch).await.unwrap();
    let mut entries = Vec::new();
    let database = place.database();
    let told = archive::read(
        &database,
        &[],
        |_, _| {},
        |entry| {
            entries.push(entry);
            ControlFlow::<()>::Continue(())
        },
    );
    assert_eq!(told.await.unwrap(), ControlFlow::Continue(()));
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind).collect();
    let expected = [
        "birth",
        "frame",
        "frame",
        "event",
        "event",
        "watermark",
        "hole",
        "command",
        "outcome",
    ];
    assert_eq!(kinds, expected);
    for entry in entries {
        match entry.stored.unwrap() {
            Stored::Birth(birth) => assert_eq!(*birth, *batch.births[0].1),
            Stored::Frame(frame) => assert!(batch.frames.contains(&(stream(), frame))),
            Stored::Event(event) => assert!(batch.events.contains(&(stream(), event))),
            Stored::Watermark(mark) => assert_eq!((mark.epoch, mark.durable_below), (7, 3)),
            Stored::Hole(hole) => assert_eq!(hole, batch.holes[0].1),
            Stored::Command(command) => assert_eq!(command, batch.commands[0]),
            Stored::Outcome(outcome) => assert_eq!(outcome, batch.outcomes[0]),
        }
        let vantage = entry.kind != "command" && entry.kind != "outcome";
        assert_eq!(entry.vantage, vantage.then_some(Vantage::Inband));
    }
}
