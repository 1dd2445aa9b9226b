//! A real run that is kept for ever: it must verify as it did, no edit of it may, and each judgement must be able to turn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // what helps a test may fail aloud, too

#[allow(dead_code)] // the readers have tests of their own
#[path = "../fuzz/bodies.rs"]
mod bodies;
#[allow(dead_code)] // the other half is for the properties of readers
#[path = "support/given.rs"]
mod given;
#[path = "support/source.rs"]
#[allow(dead_code)]
mod source;
#[path = "support/world.rs"]
mod world;

use bodies::{Scratch, golden_dir, golden_files};
use given::config;
use passmuster::evidence::{bundle, seal, verify};
use passmuster::model::event::{Event, FailureClass, Moment, Role};
use passmuster::model::ledger::{Control, Line, OpOutcome};
use passmuster::model::readback::{ReadLine, Row};
use passmuster::model::time::Stamp;
use passmuster::verdict::{Outcome, Record, expectations, judge};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeSet;
use world::{World, forget, golden_text, outcome_of, shows};

/// A copy of the golden run, with one file replaced, or left out.
fn copy(name: &str, content: Option<&[u8]>) -> Scratch {
    let dir = Scratch::new();
    for (other, bytes) in golden_files() {
        match (other == name, content) {
            (true, Some(changed)) => dir.write(other, changed),
            (true, None) => {}
            (false, _) => dir.write(other, bytes),
        }
    }
    dir
}

/// Lines that differ, or why it cannot be read at all.
fn differences(dir: &std::path::Path) -> Vec<String> {
    verify::verify(dir).map_or_else(|e| vec![e.to_string()], |v| v.differences)
}

#[test]
fn the_golden_run_verifies_as_it_did() {
    let verified = verify::verify(&golden_dir()).unwrap();
    assert_eq!(verified.differences, Vec::<String>::new());
    // Byte by byte, but for the version of the program that computes it.
    let mut again = verified.again.clone();
    let kept: passmuster::evidence::view::RunView = serde_json::from_str(&golden_text("run.json")).unwrap();
    again.tool.clone_from(&kept.tool);
    assert_eq!(again.to_json(), golden_text("run.json"));
    assert_eq!(again.verdict.outcome, Outcome::Pass);
    assert!(again.verdict.judgements.len() >= 30 && again.verdict.loss.acknowledged > 100, "it is a run worth keeping");
    bodies::render(bodies::golden());
}

#[test]
fn the_seal_is_what_sha256sum_reads() {
    let text = golden_text(seal::SEAL);
    for (name, bytes) in golden_files().iter().filter(|(n, _)| n != seal::SEAL) {
        assert!(text.lines().any(|l| *l == format!("{}  {name}", passmuster::model::seed::sha256(bytes))), "{name}");
    }
    assert_eq!(text.lines().count() + 1, golden_files().len());
}

// ---- no edit verifies ---------------------------------------------------------------------------------------------

#[test]
fn no_edit_of_any_file_verifies() {
    for (name, bytes) in golden_files() {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let middle = bytes.len() / 2;
        let mut flipped = bytes.clone();
        flipped[middle] ^= 1;
        let edits: [(&str, Option<Vec<u8>>); 6] = [
            ("removed", None),
            ("emptied", Some(Vec::new())),
            ("truncated", Some(bytes[..bytes.len() - 1].to_vec())),
            ("a byte flipped", Some(flipped)),
            ("something added", Some([bytes.as_slice(), b"\n"].concat())),
            ("replaced", Some(text.replace("pass", "fail").replace("PostgreSQL", "Postgres").into_bytes())),
        ];
        for (what, content) in edits.into_iter().filter(|(_, c)| c.as_ref() != Some(bytes)) {
            let dir = copy(name, content.as_deref());
            assert_ne!(differences(dir.path()), Vec::<String>::new(), "{name} {what}, and it verifies");
        }
    }
    for extra in ["ledger.jsonl", "notes.txt", "logs/other.log"] {
        let dir = copy("", None);
        dir.write(extra, b"");
        assert_ne!(differences(dir.path()), Vec::<String>::new(), "{extra} added, and it verifies");
    }
    let dir = copy("", None);
    assert_eq!(differences(dir.path()), Vec::<String>::new(), "the copy itself verifies");
}

/// Whoever edits evidence can seal it anew. The verdict is computed from the record all the same.
#[test]
fn a_verdict_that_the_record_does_not_give_is_refused_under_any_seal() {
    let line = |name: &str, from: &str, to: &str| (name.to_string(), golden_text(name).replacen(from, to, 1));
    let without = |name: &str, part: &str| {
        let kept: String = golden_text(name).lines().filter(|l| !l.contains(part)).map(|l| format!("{l}\n")).collect();
        (name.to_string(), kept)
    };
    let first_row = golden_text("readback-recovered.jsonl").lines().find(|l| l.contains("\"k\":\"row\"")).unwrap().to_string();
    for (name, text) in [
        line("run.json", "\"outcome\": \"pass\"", "\"outcome\": \"fail\""),
        line("run.json", "\"verified_rto_ns\": ", "\"verified_rto_ns\": 1"),
        line("run.json", "\"measured\": \"none", "\"measured\": \"almost none"),
        line("run.json", "\"acknowledged\": ", "\"acknowledged\": 1"),
        line("plan.json", "\"rto\": 900000000000", "\"rto\": 900000000"),
        line("plan.json", "\"seed\": 11", "\"seed\": 12"),
        line("plan.json", "\"exact\",", ""),
        line("events.jsonl", "\"fsync\":\"on\"", "\"fsync\":\"off\""),
        without("events.jsonl", "\"moment\":\"verified\""),
        without("events.jsonl", "\"event\":\"run-ended\""),
        without("events.jsonl", "\"event\":\"target-located\""),
        without("events.jsonl", "\"event\":\"instance-gone\""),
        line("ledger.jsonl", "\"o\":\"ok\"", "\"o\":\"fail\""),
        without("ledger.jsonl", "\"k\":\"end\""),
        without("readback-recovered.jsonl", &first_row),
        without("readback-recovered.jsonl", "\"k\":\"end\""),
        without("readback-control.jsonl", "\"k\":\"end\""),
        without("commits.jsonl", "\"k\":\"commit\""),
    ] {
        let packed = format!("{name}.zst");
        assert_ne!(text, golden_text(&name), "{name}");
        let (file, content) = match golden_files().iter().any(|(n, _)| *n == packed) {
            true => (packed, zstd::encode_all(text.as_bytes(), 3).unwrap()),
            false => (name, text.into_bytes()),
        };
        let dir = copy(&file, Some(&content));
        seal::seal(dir.path()).unwrap();
        let found = differences(dir.path());
        assert!(!found.is_empty() && !found.iter().any(|d| d.contains("sealed")), "{file}: {found:?}");
    }
}

#[test]
fn the_command_says_so_by_its_exit_code() {
    #[allow(clippy::disallowed_methods)] // the program under test is the product itself
    let verify = |dir: &std::path::Path| {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_passmuster")).arg("verify").arg(dir).output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    let (code, said) = verify(&golden_dir());
    assert!(code == Some(0) && said.starts_with("verifies  pass"), "{code:?} {said}");
    let (code, said) = verify(copy("logs/db.log", Some(b"nothing happened\n")).path());
    assert!(code == Some(12) && said.contains("DOES NOT VERIFY") && said.contains("logs/db.log"), "{code:?} {said}");
    let (code, said) = verify(copy("ledger.jsonl.zst", Some(b"no such frame")).path());
    assert!(code == Some(12) && said.contains("DOES NOT VERIFY"), "{code:?} {said}");
    let empty = Scratch::new();
    assert_eq!(verify(empty.path()).0, Some(3));
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn no_random_edit_verifies_and_none_panics(which in any::<u8>(), at in any::<Index>(), by in 1..=255u8, cut in any::<bool>()) {
        let (_, bytes) = &golden_files()[usize::from(which) % golden_files().len()];
        let at = at.index(bytes.len());
        let mut content = bytes.clone();
        if cut { content.truncate(at) } else { content[at] ^= by }
        bodies::bundle(&[&[which], content.as_slice()].concat());
    }

    /// Any number of the record may be any number: nothing overflows, and nothing is divided by zero.
    #[test]
    fn any_number_of_a_record_can_be_any_number(edits in prop::collection::vec((0..6usize, any::<Index>(), any::<Index>(), extreme()), 1..4)) {
        let names = ["events.jsonl", "plan.json", "readback-recovered.jsonl", "readback-control.jsonl", "commits.jsonl", "ledger.jsonl"];
        let mut texts: Vec<String> = names.iter().map(|n| golden_text(n)).collect();
        for (file, line, number, value) in &edits {
            texts[*file] = with_number(&texts[*file], line, number, value);
        }
        let dir = Scratch::new();
        names.iter().zip(&texts).filter(|(n, _)| **n != "ledger.jsonl").for_each(|(n, t)| dir.write(n, t.as_bytes()));
        // The ledger's lines are sealed anew, so that what stands in them is looked at.
        let (mut chain, mut sealed) = (passmuster::model::ledger::LineChain::default(), String::new());
        texts[5].lines().for_each(|l| chain.seal(l.rsplit_once('\t').map_or(l, |(json, _)| json), &mut sealed));
        dir.write("ledger.jsonl", sealed.as_bytes());
        bodies::render(&bundle::load(dir.path()).unwrap());
    }
}

fn extreme() -> impl Strategy<Value = String> {
    let known = ["0", "1", "-1", "18446744073709551615", "9223372036854775807", "-9223372036854775808", "4294967295", "1000000000", "5.5", "null"];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(String::from), 1 => any::<u64>().prop_map(|n| n.to_string())]
}

/// Replaces one number of one line.
fn with_number(text: &str, line: &Index, number: &Index, value: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let at = line.index(lines.len());
    let old = lines[at].clone();
    let starts: Vec<usize> =
        old.char_indices().filter(|(i, c)| c.is_ascii_digit() && !old[..*i].ends_with(|p: char| p.is_ascii_alphanumeric())).map(|(i, _)| i).collect();
    if !starts.is_empty() {
        let start = starts[number.index(starts.len())];
        let len = old[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(old.len() - start);
        lines[at] = format!("{}{value}{}", &old[..start], &old[start + len..]);
    }
    lines.join("\n") + "\n"
}

// ---- every judgement can turn --------------------------------------------------------------------------------------

/// A change of the golden run, and the judgement that must turn by it.
type Change = (&'static str, fn(&mut World));

fn row(table: &str, client: u32, seq: u64) -> ReadLine {
    ReadLine::Row(Row { table: table.into(), client, seq, payload: None, object: None, chain: None })
}

/// Inserts a line before the end of a read-back.
fn also(read: &mut Vec<ReadLine>, line: ReadLine) {
    read.insert(read.len() - 1, line);
}

/// What makes each expectation fail.
const RED: &[Change] = &[
    ("recovery", |w| w.happened(Event::Failed { step: Some(2), role: None, class: FailureClass::ArchiveGap, detail: "x".into() })),
    ("rto", |w| w.plan.objectives.rto = Some(1)),
    ("archive-loss", |w| {
        let op = w.last_kept();
        forget(&mut w.control, &op, None);
        w.plan.objectives.rpo = Some(0);
    }),
    ("slack", |w| {
        let op = w.last_kept();
        forget(&mut w.recovered, &op, None);
        w.uncommit(&op);
    }),
    ("rewind", |w| w.plan.objectives.rewind = Some(0)),
    ("exact", |w| {
        let op = w.kept();
        forget(&mut w.recovered, &op, None);
    }),
    ("exact", |w| {
        // Something that the cut should have cut off.
        let op = w.ops().find(|o| o.outcome == OpOutcome::Ok && shows(&w.control, o) && !shows(&w.recovered, o)).unwrap().clone();
        also(&mut w.recovered, row("presence", op.client, op.seq));
    }),
    ("control-restore-differs", |w| w.control.clone_from(&w.recovered)),
    ("control-complete", |w| {
        let op = w.kept();
        forget(&mut w.control, &op, None);
    }),
    ("no-lost-before-cut", |w| {
        let op = w.kept();
        forget(&mut w.recovered, &op, None);
    }),
    ("no-holes", |w| {
        let op = w.kept();
        forget(&mut w.control, &op, None);
    }),
    ("no-phantoms", |w| also(&mut w.recovered, row("presence", 99, 0))),
    ("no-phantoms", |w| also(&mut w.control, ReadLine::Object { key: "ledger/x".into(), version: None, sha: None })),
    ("no-resurrected", |w| {
        let op = w.ops().find(|o| o.outcome == OpOutcome::Fail).unwrap().clone();
        also(&mut w.recovered, row("presence", op.client, op.seq));
    }),
    ("no-duplicates", |w| {
        let op = w.kept();
        also(&mut w.recovered, row("presence", op.client, op.seq));
    }),
    ("no-hash-mismatches", |w| {
        let first = w.recovered.iter_mut().find_map(|l| if let ReadLine::Row(r) = l { r.payload.as_mut() } else { None });
        *first.unwrap() = "0".repeat(32);
    }),
    ("no-hash-mismatches", |w| {
        let first = w.control.iter_mut().find_map(|l| if let ReadLine::Row(r) = l { r.chain.as_mut() } else { None });
        *first.unwrap() = "0".repeat(32);
    }),
    ("no-partial-transactions", |w| {
        let op = w.kept();
        forget(&mut w.recovered, &op, Some("journal"));
    }),
    ("no-dangling-rows", |w| {
        let at = w.recovered.iter().position(|l| matches!(l, ReadLine::Object { .. })).unwrap();
        w.recovered.remove(at);
        for line in &mut w.recovered {
            if let ReadLine::Objects { listed } = line {
                *listed -= 1;
            }
        }
    }),
    // A store that lost every object lists none.
    ("no-dangling-rows", |w| {
        w.recovered.retain(|l| !matches!(l, ReadLine::Object { .. }));
        for line in &mut w.recovered {
            if let ReadLine::Objects { listed } = line {
                *listed = 0;
            }
        }
    }),
    ("no-orphan-objects", |w| {
        also(&mut w.recovered, ReadLine::Object { key: "ledger/1.900".into(), version: None, sha: Some(String::new()) });
        for line in &mut w.recovered {
            if let ReadLine::Objects { listed } = line {
                *listed += 1;
            }
        }
    }),
    ("tables-present", |w| also(&mut w.recovered, ReadLine::Table { name: "ledger_b".into(), exists: false })),
    ("base-data", |w| {
        let first = w.recovered.iter_mut().find_map(|l| if let ReadLine::Base { sha, .. } = l { Some(sha) } else { None });
        *first.unwrap() = "0".repeat(64);
    }),
    ("base-data", |w| w.control.retain(|l| !matches!(l, ReadLine::Base { chunk: 1, .. }))),
    ("readable", |w| also(&mut w.recovered, ReadLine::Unreadable { what: "ledger_a".into(), why: "x".into() })),
    ("kept-after-recovery", |w| {
        let op = w.ops().find(|o| o.outcome == OpOutcome::Ok && o.invoked > w.fault() && shows(&w.recovered, o)).unwrap().clone();
        forget(&mut w.recovered, &op, None);
    }),
    ("archive-complete", |w| {
        w.change(|e| match e {
            Event::ArchiveListed { files } => files.pop().is_some(),
            _ => false,
        });
    }),
    ("archive-consistent", |w| w.happened(Event::ArchiveConflict { name: "x".into() })),
    ("one-timeline", |w| w.happened(Event::ForeignTimeline { name: "00000009.history".into() })),
    ("one-cluster", |w| {
        w.change(|e| match e {
            Event::BaseBackup { system_identifier, .. } => {
                *system_identifier = "1".into();
                true
            }
            _ => false,
        });
    }),
    ("encrypted-at-rest", |w| w.happened(Event::ObjectInspected { key: "x".into(), cipher: "none".into(), opened: None })),
    ("encrypted-at-rest", |w| w.happened(Event::ObjectInspected { key: "x".into(), cipher: "age".into(), opened: Some(false) })),
    ("old-instance-gone", |w| w.happened(Event::LateWrite { instance: "x".into(), what: "y".into() })),
    ("old-instance-gone", |w| w.events.retain(|e| !matches!(e.event, Event::InstanceGone { .. }))),
    ("endpoint-moved", |w| w.happened(Event::EndpointAnswered { instance: "x".into(), in_recovery: true })),
    ("steady-again", |w| {
        w.events.retain(|e| !matches!(e.event, Event::Moment { moment: Moment::SteadyAgain, .. }));
        w.happened(Event::Failed { step: Some(2), role: None, class: FailureClass::NotSteady, detail: "x".into() });
    }),
    ("structure", |w| w.happened(Event::Structure { role: Role::Recovered, check: "amcheck".into(), ok: false, detail: "x".into() })),
    ("ledger-intact", |w| {
        let first = w.ledger.iter_mut().find_map(|l| if let Line::Op(op) = l { Some(op) } else { None });
        first.unwrap().outcome = OpOutcome::Fail;
        w.ledger_forged = true;
    }),
];

/// What makes each doubt arise.
const DOUBTFUL: &[Change] = &[
    ("durability-settings", |w| {
        w.change(|e| match e {
            Event::InstanceStarted { settings, .. } => settings.insert("full_page_writes".into(), "off".into()).is_some(),
            _ => false,
        });
    }),
    ("recorder-stalled", |w| {
        let (at, t) = (w.at(|e| matches!(e, Event::Moment { moment: Moment::Verified, .. })), w.fault());
        let stamp = Stamp(t.0 + 400_000_000);
        w.events.insert(at, passmuster::model::event::Stamped { t: stamp, event: Event::Stalled { ns: 400_000_000 } });
    }),
    ("no-acknowledged-writes", |w| {
        for l in &mut w.ledger {
            if let Line::Op(op) = l {
                op.outcome = OpOutcome::Fail;
            }
        }
    }),
    ("too-few-writes", |w| w.plan.objectives.rpo = Some(1_000_000)),
    ("sabotage-idle", |w| w.plan.sabotage = Some("wrong-key".into())),
    ("interrupted", |w| {
        w.change(|e| match e {
            Event::RunEnded { status, .. } => {
                *status = "interrupted".into();
                true
            }
            _ => false,
        });
    }),
    ("record-unreadable", |w| w.garbage = "{\"t\":1,\"event\":\"no-such-event\"}\n".into()),
    ("results-unread", |w| drop(w.recovered.pop())),
    ("results-unread", |w| w.recovered.clear()),
    ("not-judged", |w| w.events.retain(|e| !matches!(e.event, Event::EndpointAnswered { .. }))),
    ("not-judged", |w| w.events.retain(|e| !matches!(e.event, Event::ArchiveListed { .. }))),
    ("ledger-open", |w| w.ledger.retain(|l| !matches!(l, Line::Control(Control::End { .. })))),
];

#[test]
fn every_expectation_can_fail() {
    let before = World::golden().verdict();
    assert_eq!(before.outcome, Outcome::Pass);
    for (id, change) in RED {
        let mut world = World::golden();
        assert_eq!(outcome_of(&before, id), Some(Outcome::Pass), "{id} holds as it was");
        change(&mut world);
        let verdict = world.verdict();
        assert_eq!(outcome_of(&verdict, id), Some(Outcome::Fail), "{id}: {:?}", verdict.judgements);
        assert_eq!(verdict.outcome, Outcome::Fail, "{id}");
    }
    let shown: BTreeSet<&str> = RED.iter().map(|(id, _)| *id).collect();
    assert_eq!(shown, expectations::specs().iter().map(|s| s.id).collect(), "one that cannot fail says nothing");
}

#[test]
fn every_doubt_can_arise() {
    let before = World::golden().verdict();
    for (id, change) in DOUBTFUL {
        let mut world = World::golden();
        assert_eq!(outcome_of(&before, id), None, "{id} as it was");
        change(&mut world);
        let verdict = world.verdict();
        assert_eq!(outcome_of(&verdict, id), Some(Outcome::Inconclusive), "{id}: {:?}", verdict.judgements);
        assert_ne!(verdict.outcome, Outcome::Pass, "{id}");
    }
    let shown: BTreeSet<String> = DOUBTFUL.iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(shown, doubts());
}

/// Ids of the reasons to doubt.
fn doubts() -> BTreeSet<String> {
    passmuster::verdict::trust::DOUBTS.iter().map(|d| d.id.to_string()).collect()
}

/// No evidence is a gap: a record that lacks something is judged as before, or does not pass.
#[test]
fn nothing_passes_by_being_left_out() {
    let golden = World::golden();
    let before = golden.verdict();
    let ids = |v: &passmuster::verdict::Verdict| v.judgements.iter().map(|j| j.id.clone()).collect::<Vec<_>>();
    let mut bad = Vec::new();
    let mut look = |what: String, record: &Record| {
        let after = judge(record);
        if after.outcome == Outcome::Pass && ids(&after) != ids(&before) {
            let gone: Vec<String> = ids(&before).into_iter().filter(|i| !ids(&after).contains(i)).collect();
            bad.push(format!("{what}: passes, and {gone:?} are no longer judged"));
        }
    };
    let mut record = golden.record();
    for i in 0..record.events.len() {
        let gone = record.events.remove(i);
        look(format!("{:?}", gone.event), &record);
        record.events.insert(i, gone);
    }
    let kinds: BTreeSet<usize> = golden.events.iter().map(|e| given::index_of(&e.event)).collect();
    for kind in kinds {
        record.events.retain(|e| given::index_of(&e.event) != kind);
        look(format!("all events of kind {kind}"), &record);
        record.events.clone_from(&golden.events);
    }
    for (what, change) in [
        ("the recovered server's read-back", (|w| w.recovered.clear()) as fn(&mut World)),
        ("the control restore's read-back", |w| w.control.clear()),
        ("the commit order", |w| w.wal.clear()),
        ("the ledger", |w| w.ledger.clear()),
        ("objects of the read-back", |w| w.recovered.retain(|l| !matches!(l, ReadLine::Object { .. }))),
        ("base data of the read-back", |w| w.recovered.retain(|l| !matches!(l, ReadLine::Base { .. }))),
    ] {
        let mut w = golden.clone();
        change(&mut w);
        look(what.into(), &w.record());
    }
    assert_eq!(bad, Vec::<String>::new());
}
