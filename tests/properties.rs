//! What must hold for any input: round trips, tampering that shows, and readers that bear whatever they are given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // what helps a test may fail aloud, too

#[allow(dead_code)] // the golden run has tests of its own
#[path = "../fuzz/bodies.rs"]
mod bodies;
#[path = "support/given.rs"]
mod given;

use given::{EVENTS, Story, config, event, index_of, sealed, text};
use passmuster::cli::shipped::SCENARIOS;
use passmuster::model::diag::Diagnostics;
use passmuster::model::event::Stamped;
use passmuster::model::ledger::{Line, LineChain, OpView};
use passmuster::model::params::{ParamType, SecretRef, Value, default_value};
use passmuster::model::source::Sources;
use passmuster::model::time::{Stamp, Wall};
use passmuster::model::units;
use passmuster::model::wal::{Lsn, WalFile};
use passmuster::model::yaml;
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::{Duration, Instant};

// ---- ledger -------------------------------------------------------------------------------------------------------

/// Whether a reader of the text sees that something is wrong with it, or that it was not closed.
fn shows(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return true };
    let book = bodies::book(text);
    !book.problems.is_empty() || !book.closed
}

#[derive(Debug, Clone)]
enum Tampering {
    Byte(Index, u8),
    Deleted(Index),
    Swapped(Index, Index),
    Doubled(Index),
    Truncated(Index),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let i = any::<Index>;
    prop_oneof![
        4 => (i(), 1..=255u8).prop_map(|(at, by)| Tampering::Byte(at, by)),
        1 => i().prop_map(Tampering::Deleted),
        1 => (i(), i()).prop_map(|(a, b)| Tampering::Swapped(a, b)),
        1 => i().prop_map(Tampering::Doubled),
        2 => i().prop_map(Tampering::Truncated),
    ]
}

/// The text after a tampering; `None` where that changes no line of it.
fn tampered(text: &str, how: &Tampering) -> Option<Vec<u8>> {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let count = lines.len();
    match how {
        Tampering::Byte(at, by) => {
            let mut bytes = text.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            return Some(bytes);
        }
        Tampering::Deleted(at) => drop(lines.remove(at.index(count))),
        Tampering::Swapped(a, b) => lines.swap(a.index(count), b.index(count)),
        Tampering::Doubled(at) => lines.insert(at.index(count), lines[at.index(count)]),
        Tampering::Truncated(at) => return Some(text.as_bytes()[..at.index(text.len() - 1)].to_vec()),
    }
    let changed = lines.concat();
    (changed != text).then(|| changed.into_bytes())
}

/// Lines with every digest made to fit: what whoever knows the format can do.
fn fitted(lines: &[Line]) -> String {
    sealed(lines)
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn any_well_formed_ledger_is_read_as_it_was_written(story in Story::any()) {
        let lines = story.lines();
        let text = sealed(&lines);
        let mut chain = LineChain::default();
        let read: Vec<Line> = text.lines().map(|l| Line::decode(chain.open(l).unwrap()).unwrap()).collect();
        prop_assert_eq!(&read, &lines);
        let book = bodies::book(&text);
        prop_assert_eq!(&book.problems, &Vec::<String>::new());
        prop_assert!(book.closed);
        prop_assert_eq!((book.run.as_str(), book.seed), (story.run.as_str(), story.seed));
        let written = lines.iter().filter_map(|l| if let Line::Op(op) = l { Some(op) } else { None });
        prop_assert_eq!(book.operations, written.clone().count() as u64);
        for op in written {
            let entry = book.entry(op.client, op.seq).unwrap();
            prop_assert_eq!((entry.invoked, entry.completed, entry.xid, entry.outcome), (op.invoked, op.completed, op.xid, op.outcome));
        }
    }

    #[test]
    fn any_tampering_with_a_ledger_shows(story in Story::any(), how in tampering()) {
        let text = sealed(&story.lines());
        prop_assert!(!shows(text.as_bytes()));
        if let Some(changed) = tampered(&text, &how) {
            prop_assert!(shows(&changed), "{how:?} of\n{text}");
        }
    }

    /// A client's own chain runs over what was acknowledged: it shows even where every digest of a line was made to fit, as
    /// long as something acknowledged follows in the chain.
    #[test]
    fn a_clients_chain_shows_what_fitted_digests_hide(story in Story::any(), at in any::<Index>(), what in 0..4u8) {
        use passmuster::model::ledger::OpOutcome;
        let mut lines = story.lines();
        let of = |l: &Line| if let Line::Op(op) = l { Some((op.client, op.seq, op.outcome)) } else { None };
        let followed: Vec<usize> = (0..lines.len()).filter(|i| of(&lines[*i]).is_some_and(|(c, _, o)| o == OpOutcome::Ok
            && lines[i + 1..].iter().filter_map(of).any(|(d, ..)| c == d))).collect();
        if followed.is_empty() { return Ok(()); }
        let at = followed[at.index(followed.len())];
        let Line::Op(op) = &mut lines[at] else { unreachable!() };
        match what {
            0 => op.outcome = OpOutcome::Fail,
            1 => op.outcome = OpOutcome::Unknown,
            2 => op.payload = op.chain.clone(),
            _ => { lines.remove(at); }
        }
        prop_assert!(!bodies::book(&fitted(&lines)).problems.is_empty());
    }

    /// Removing an operation that was not acknowledged breaks no chain; it leaves a gap in its client's numbers.
    #[test]
    fn a_gap_in_a_clients_numbers_shows(story in Story::any(), at in any::<Index>()) {
        let mut lines = story.lines();
        let client = |l: &Line| if let Line::Op(op) = l { Some(op.client) } else { None };
        let inner: Vec<usize> = (0..lines.len())
            .filter(|i| client(&lines[*i]).is_some_and(|c| lines[i + 1..].iter().any(|l| client(l) == Some(c)))).collect();
        if inner.is_empty() { return Ok(()); }
        lines.remove(inner[at.index(inner.len())]);
        prop_assert!(!bodies::book(&fitted(&lines)).problems.is_empty());
    }

    /// The checker reads most lines in a quicker way than serde's: where it reads one at all, it reads the same.
    #[test]
    fn the_quick_way_reads_what_the_thorough_one_does(story in Story::any(), at in any::<Index>(), edits in prop::collection::vec((any::<Index>(), given::LEDGER_BYTES), 0..3)) {
        let ops: Vec<Line> = story.lines().into_iter().filter(|l| matches!(l, Line::Op(_))).collect();
        if ops.is_empty() { return Ok(()); }
        let mut json = ops[at.index(ops.len())].encode();
        prop_assert!(json.contains('\\') || OpView::scan(&json).is_some(), "{}", json);
        for (at, with) in edits {
            let at = json.floor_char_boundary(at.index(json.len()));
            let len = json[at..].chars().next().map_or(0, char::len_utf8);
            json.replace_range(at..at + len, &with);
        }
        if let Some(quick) = OpView::scan(&json) {
            match Line::decode(&json) {
                Ok(Line::Op(op)) => prop_assert_eq!(quick, OpView::of(&op), "{}", json),
                other => prop_assert!(false, "{} is {:?}", json, other),
            }
        }
    }

    #[test]
    fn a_reader_of_ledgers_bears_anything(text in given::soup(given::LEDGER_WORDS)) {
        bodies::ledger(text.as_bytes());
    }
}

#[test]
fn hostile_numbers_in_a_ledger_cost_nothing() {
    let far = u64::MAX;
    for lines in [
        format!(
            "{{\"k\":\"reserve\",\"c\":1,\"from\":0,\"to\":{far}}}\n{{\"c\":1,\"n\":{},\"w\":\"row\",\"i\":0,\"e\":0,\"o\":\"ok\",\"x\":1,\"p\":\"\",\"h\":\"\"}}",
            far - 1
        ),
        format!(
            "{{\"k\":\"reserve\",\"c\":1,\"from\":0,\"to\":{far}}}\n{{\"c\":1,\"n\":0,\"w\":\"row\",\"i\":{far},\"e\":{far},\"o\":\"ok\",\"x\":1,\"p\":\"\",\"h\":\"\"}}"
        ),
    ] {
        let begin = "{\"k\":\"head\",\"ledger\":1,\"run\":\"r\",\"seed\":7}\n{\"k\":\"client\",\"c\":1,\"slot\":0,\"table\":\"ledger_a\",\"instance\":\"1/1\"}\n";
        bodies::ledger(format!("{begin}{lines}").as_bytes());
    }
}

// ---- events, log, waldump -----------------------------------------------------------------------------------------

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn any_event_is_read_as_it_was_written(which in 0..EVENTS, t in any::<u64>(), seed in given::pool()) {
        let e = event(which, &seed);
        prop_assert_eq!(index_of(&e), which);
        bodies::round_trip(&Stamped { t: Stamp(t), event: e });
    }

    #[test]
    fn positions_are_read_as_they_were_written(n in any::<u64>()) {
        prop_assert_eq!(Lsn(n).to_string().parse(), Ok(Lsn(n)));
    }

    #[test]
    fn text_that_is_no_position_is_refused(text in "[0-9A-Fa-f+/ -]{0,20}") {
        if let Ok(lsn) = text.parse::<Lsn>() {
            prop_assert!(text.trim().chars().all(|c| c == '/' || c.is_ascii_hexdigit()), "{}", text);
            prop_assert_eq!(lsn.to_string().parse(), Ok(lsn));
        }
    }

    #[test]
    fn segments_are_named_one_way(timeline in any::<u32>(), n in any::<u64>(), power in 20..=30u32) {
        let size = 1u64 << power;
        let number = n % ((u64::from(u32::MAX) + 1) * ((1u64 << 32) / size));
        let name = WalFile::segment_name(timeline, number, size);
        prop_assert_eq!(WalFile::parse(&name, size), Some(WalFile::Segment(timeline, number)));
        prop_assert_eq!(WalFile::parse(&format!("{name}.partial"), size), Some(WalFile::Partial(timeline, number)));
        prop_assert_eq!(WalFile::parse(&format!("{timeline:08X}.history"), size), Some(WalFile::History(timeline)));
        let backup = format!("{name}.00000028.backup");
        prop_assert_eq!(WalFile::parse(&backup, size), Some(WalFile::Backup(backup)));
    }

    #[test]
    fn what_is_read_as_a_file_of_the_log_has_that_name(name in "[0-9A-Fa-f+]{8}([0-9A-F+]{16})?(\\.partial|\\.history|\\.[0-9A-F]{8}\\.backup|\\.\\./x\\.backup|)", power in 0..40u32) {
        match WalFile::parse(&name, 1 << power) {
            Some(WalFile::Segment(t, n)) => prop_assert_eq!(WalFile::segment_name(t, n, 1 << power), name),
            Some(WalFile::Partial(t, n)) => prop_assert_eq!(WalFile::segment_name(t, n, 1 << power) + ".partial", name),
            Some(WalFile::History(t)) => prop_assert_eq!(format!("{t:08X}.history"), name),
            Some(WalFile::Backup(b)) => { prop_assert_eq!(&b, &name); prop_assert!(!name.contains('/')); }
            None => {}
        }
    }

    #[test]
    fn any_text_can_be_asked_for_a_file_of_the_log(name in text(), size in any::<u64>()) {
        let _ = WalFile::parse(&name, size);
        let _ = WalFile::segment_name(1, size, size);
    }

    #[test]
    fn wall_clock_labels_are_read_as_they_were_written(us in -62_135_596_800_000_000i64..=253_402_207_200_000_000) {
        prop_assert_eq!(Wall::parse(&Wall(us).rfc3339()), Some(Wall(us)));
        prop_assert_eq!(Wall::parse(&Wall(us).postgres()), Some(Wall(us)));
    }

    #[test]
    fn any_wall_clock_number_has_a_label(us in any::<i64>()) {
        prop_assert!(!Wall(us).rfc3339().is_empty() && !Wall(us).compact().is_empty());
    }

    #[test]
    fn a_reader_of_the_log_bears_anything(text in given::soup(given::WALDUMP_WORDS)) {
        bodies::waldump(text.as_bytes());
        bodies::waldump(format!("rmgr: {text}").as_bytes());
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn any_events_can_be_judged(picks in prop::collection::vec((0..EVENTS, any::<u64>(), given::pool()), 0..12)) {
        let mut lines = String::new();
        for (which, t, seed) in &picks {
            lines.push_str(&serde_json::to_string(&Stamped { t: Stamp(*t), event: event(*which, seed) }).unwrap());
            lines.push('\n');
        }
        bodies::events(lines.as_bytes());
    }
}

// ---- units and values ---------------------------------------------------------------------------------------------

proptest! {
    #![proptest_config(config(1024))]

    #[test]
    fn durations_are_read_as_they_were_written(ns in any::<u64>()) {
        let d = Duration::from_nanos(ns);
        prop_assert_eq!(units::parse_duration(&units::written_duration(d)), Some(d));
    }

    #[test]
    fn sizes_are_read_as_they_were_written(bytes in any::<u64>(), shift in 0..64u32) {
        for size in [bytes, bytes >> shift << shift] {
            prop_assert_eq!(units::parse_size(&units::written_size(size)), Some(size));
        }
    }

    /// Shares and rates as people write them: a few decimal digits.
    #[test]
    fn shares_and_rates_are_read_as_they_were_written(n in 0..=1_000_000u32, rate in 0..1_000_000u32, decimals in 0..4usize) {
        let rate = f64::from(rate) / [1.0, 10.0, 100.0, 1000.0][decimals];
        prop_assert_eq!(units::parse_rate(&Value::Rate(rate).to_string()), Some(rate));
        let written = format!("{}.{:04}%", n / 10_000, n % 10_000);
        let share = units::parse_ratio(&written).unwrap();
        prop_assert_eq!(units::parse_ratio(&Value::Share(share).to_string()), Some(share), "{}", written);
        prop_assert!(Value::Share(share).to_string().len() <= written.len(), "{} is shown as {}", written, Value::Share(share));
    }

    #[test]
    fn values_are_shown_as_they_are_written(ns in any::<u64>(), bytes in any::<u64>(), name in "[A-Z_]{1,8}", path in "[a-z/. ]{1,12}", n in any::<i64>(), yes in any::<bool>()) {
        for (kind, value) in [
            (ParamType::Duration, Value::Duration(Duration::from_nanos(ns))),
            (ParamType::Size, Value::Size(bytes)),
            (ParamType::Int(i64::MIN, i64::MAX), Value::Int(n)),
            (ParamType::Bool, Value::Bool(yes)),
            (ParamType::Text, Value::Text(path.clone())),
            (ParamType::Secret, Value::Secret(SecretRef::Env(name.clone()))),
            (ParamType::Secret, Value::Secret(SecretRef::File(path.clone()))),
            (ParamType::Secret, Value::Secret(SecretRef::Ephemeral)),
        ] {
            prop_assert_eq!(default_value(kind, &value.to_string()), Some(value));
        }
    }

    #[test]
    fn any_text_can_be_asked_for_a_number(text in given::soup(given::UNIT_WORDS)) {
        let d = units::parse_duration(&text);
        prop_assert!(d.is_none_or(|d| units::parse_duration(&units::written_duration(d)) == Some(d)));
        prop_assert!(units::parse_ratio(&text).is_none_or(|r| (0.0..=1.0).contains(&r)));
        prop_assert!(units::parse_rate(&text).is_none_or(|r| r.is_finite() && r >= 0.0));
        let _ = (units::parse_size(&text), Wall::parse(&text), SecretRef::parse(&text));
    }
}

#[test]
fn units_mean_what_they_say() {
    for (text, ns) in [("5µs", 5_000), ("5μs", 5_000), ("5us", 5_000), ("1.5us", 1_500), ("0.1s", 100_000_000)] {
        assert_eq!(units::parse_duration(text), Some(Duration::from_nanos(ns)), "{text}");
    }
    // Digits beyond the unit's resolution are refused, not dropped.
    for text in ["1.5ns", "0.0001us", "1.0000000001s"] {
        assert_eq!(units::parse_duration(text), None, "{text}");
    }
    for text in ["0.5B", "1.0001KiB"] {
        assert_eq!(units::parse_size(text), None, "{text}");
    }
}

// ---- texts that people write --------------------------------------------------------------------------------------

/// Runs something, and says how long it kept a processor busy: on a machine with other work to do, a clock says more.
fn timed(work: impl FnOnce()) -> Duration {
    #[allow(clippy::disallowed_methods)] // the reader's own time is what is asked for
    fn spent() -> Duration {
        static BEGUN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        // Linux: nanoseconds that this thread ran.
        let ran = std::fs::read_to_string("/proc/thread-self/schedstat").ok().and_then(|s| s.split(' ').next()?.parse().ok());
        ran.map_or_else(|| BEGUN.elapsed(), Duration::from_nanos)
    }
    let begun = spent();
    work();
    spent() - begun
}

fn read_yaml(text: &str) {
    let mut sources = Sources::default();
    let id = sources.add("any.yaml", text);
    let mut diags = Diagnostics::default();
    let read = yaml::read(&sources, id, &mut diags);
    assert_eq!(read.is_none(), !diags.is_empty());
}

#[derive(Debug, Clone)]
enum Mutation {
    Insert(Index, String),
    Replace(Index, Index, String),
    Delete(Index, Index),
    Line(Index, Index),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let i = any::<Index>;
    let word = || prop_oneof![prop::sample::select(given::YAML_WORDS).prop_map(String::from), text()];
    let one = prop_oneof![
        (i(), word()).prop_map(|(at, w)| Mutation::Insert(at, w)),
        (i(), i(), word()).prop_map(|(at, len, w)| Mutation::Replace(at, len, w)),
        (i(), i()).prop_map(|(at, len)| Mutation::Delete(at, len)),
        (i(), i()).prop_map(|(from, to)| Mutation::Line(from, to)),
    ];
    prop::collection::vec(one, 1..4)
}

fn mutated(text: &str, all: &[Mutation]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for m in all {
        let len = chars.len().max(1);
        match m {
            Mutation::Insert(at, word) => drop(chars.splice(at.index(len)..at.index(len), word.chars())),
            Mutation::Replace(at, n, word) => {
                let at = at.index(len).min(chars.len());
                let end = (at + n.index(12)).min(chars.len());
                chars.splice(at..end, word.chars());
            }
            Mutation::Delete(at, n) => {
                let at = at.index(len).min(chars.len());
                let end = (at + n.index(80)).min(chars.len());
                chars.drain(at..end);
            }
            Mutation::Line(from, to) => {
                let whole: String = chars.iter().collect();
                let mut lines: Vec<&str> = whole.split_inclusive('\n').collect();
                if !lines.is_empty() {
                    let line = lines[from.index(lines.len())];
                    lines.insert(to.index(lines.len()), line);
                }
                chars = lines.concat().chars().collect();
            }
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn a_reader_of_yaml_bears_any_bytes_and_soon(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert!(timed(|| read_yaml(&text)) < Duration::from_secs(1));
    }

    #[test]
    fn a_reader_of_yaml_bears_anything_that_looks_like_it(text in given::soup(given::YAML_WORDS)) {
        prop_assert!(timed(|| read_yaml(&text)) < Duration::from_secs(1));
        bodies::scenario(text.as_bytes());
    }

    #[test]
    fn a_changed_scenario_is_read_or_refused_with_a_place(which in 0..SCENARIOS.len(), all in mutations()) {
        bodies::scenario(mutated(SCENARIOS[which].1, &all).as_bytes());
    }

    #[test]
    fn any_setting_is_taken_or_refused_with_a_place(which in 0..SCENARIOS.len(), key in prop::sample::select(given::SETTINGS), value in prop_oneof![text(), given::soup(given::YAML_WORDS)]) {
        bodies::scenario_with(SCENARIOS[which].1.as_bytes(), &[format!("{key}={value}")]);
        bodies::scenario_with(SCENARIOS[which].1.as_bytes(), &[value, key.to_string()]);
    }
}

#[test]
fn large_and_hostile_texts_are_refused_soon() {
    let many_keys: String = (0..180_000).map(|i| format!("k{i}: 1\n")).collect();
    let long_key = format!("{}: 1\n", "scenari".repeat(500_000));
    let long_scalar = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100_000));
    let nested_anchors: String = (0..60).map(|i| format!("&a{i} [")).collect::<String>() + &"x, ".repeat(150_000) + &"]".repeat(60);
    let same_key = "a: 1\n".repeat(150_000);
    let deep = "- ".repeat(100_000);
    let quotes = "\"".repeat(1 << 20);
    let many_errors: String = format!("scenario: x\nsystems: {{}}\nsteps:\n{}", "  - {fault: dropp-table, on: db}\n".repeat(20_000));
    for (name, text) in [
        ("many keys", many_keys),
        ("a long key", long_key),
        ("a long scalar by many aliases", long_scalar),
        ("nested anchors", nested_anchors),
        ("one key many times", same_key),
        ("deep lists", deep),
        ("quotes", quotes),
        ("many errors", many_errors),
    ] {
        let took = timed(|| bodies::scenario(text.as_bytes()));
        assert!(took < Duration::from_secs(2), "{name}: {took:?}");
    }
}
