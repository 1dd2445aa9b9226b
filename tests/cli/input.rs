//! Bad input: everything that is wrong is said at once, each with file, line, column, underlined text, a stable code
//! and what to do; exit 2 (10 for a promise that cannot hold), and nothing was started.

use super::{PROGRAM, Place, Ran, command, snapshot};

const BASE: &str = include_str!("base.yaml");

/// A case: its name, what is changed in `base.yaml`, and the findings: code, line, column.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [(&'static str, u64, u64)]);

const CASES: &[Case] = &[
    ("unknown-key", &[("archive_timeout", "archive_timout")], &[("PM0101", 6, 31)]),
    ("unknown-key-like-nothing", &[("about:", "zebra: 1\nabout:")], &[("PM0101", 3, 1)]),
    ("merge-key", &[("data: 8MiB", "<<: {data: 8MiB}")], &[("PM0101", 6, 19)]),
    ("duplicate-key", &[("rows:", "about: again\nrows:")], &[("PM0102", 4, 1)]),
    ("missing-keys", &[("of: db, ", ""), ("steady: {probe: writable, hold: 1s}\n", "")], &[("PM0103", 2, 1), ("PM0103", 9, 9)]),
    ("wrong-type", &[("clients: 4", "clients: many"), ("lead: 2s", "lead: [2s]")], &[("PM0104", 8, 35), ("PM0104", 8, 74)]),
    ("systems-empty", &[("systems:\n", "systems:\nother:\n")], &[("PM0104", 5, 8), ("PM0101", 6, 1)]),
    ("steps-not-a-list", &[("steps:\n", "steps: later\nothers:\n")], &[("PM0104", 12, 8), ("PM0101", 13, 1)]),
    ("boolean-no", &[("ledger_b}", "ledger_b, human: no}")], &[("PM0105", 13, 57)]),
    ("word-that-is-a-boolean", &[("scenario: base", "scenario: off")], &[("PM0105", 2, 11)]),
    ("bad-duration", &[("rto: 15m", "rto: 15 minutes"), ("lead: 2s", "lead: 2")], &[("PM0106", 8, 71), ("PM0106", 10, 19)]),
    ("bad-size", &[("data: 8MiB", "data: 8 megabytes")], &[("PM0107", 6, 25)]),
    ("size-without-unit", &[("data: 8MiB", "data: 8")], &[("PM0107", 6, 25)]),
    ("bad-rate", &[("rate: 200/s", "rate: fast")], &[("PM0108", 8, 44)]),
    ("out-of-range", &[("clients: 4", "clients: 1"), ("within: 30s", "within: 30s, needed: 4")], &[("PM0109", 8, 35), ("PM0109", 14, 51)]),
    ("segment-no-power-of-two", &[("wal_segment: 1MiB", "wal_segment: 3MiB")], &[("PM0109", 6, 65)]),
    ("timeout-in-fractions", &[("archive_timeout: 5s", "archive_timeout: 1500ms")], &[("PM0109", 6, 48)]),
    ("bad-choice", &[("compress: zstd", "compress: zsdt"), ("known_from: wal", "known_from: memory")], &[("PM0110", 9, 61), ("PM0110", 15, 79)]),
    ("secret-by-value", &[("age: ephemeral", "age: hunter2CANARY")], &[("PM0111", 9, 82)]),
    ("secret-like-a-boolean", &[("age: ephemeral", "age: no")], &[("PM0111", 9, 82)]),
    ("secret-instead-of-cipher", &[("{age: ephemeral}", "hunter2CANARY")], &[("PM0104", 9, 76)]),
    (
        "secret-under-unknown-keys",
        &[("age: ephemeral", "age: ephemeral, kek: hunter2CANARY"), ("data: 8MiB", "password: hunter3CANARY")],
        &[("PM0101", 6, 19), ("PM0101", 9, 93)],
    ),
    ("secret-in-a-broken-line", &[("age: ephemeral", "age: !x AGE-SECRET-KEY-1CANARYCANARY")], &[("PM0007", 9, 82)]),
    ("bracket-open-to-the-next-line", &[("{age: ephemeral}}", "{age: ephemeral}")], &[("PM0004", 10, 1)]),
    ("bad-name", &[("scenario: base", "scenario: Base_1")], &[("PM0112", 2, 11)]),
    ("setting-of-the-harness", &[("wal_segment: 1MiB", "settings: {work_mem: 8MB, Archive_Mode: off}")], &[("PM0113", 6, 78)]),
    ("unknown-system-kind", &[("{postgres:", "{postgers:")], &[("PM0201", 6, 8)]),
    ("unknown-system", &[("fault: drop-table, on: db", "fault: drop-table, on: bd")], &[("PM0202", 13, 29)]),
    ("unknown-fault", &[("fault: drop-table", "fault: drop-tabel")], &[("PM0203", 13, 13)]),
    ("unknown-fault-like-nothing", &[("fault: drop-table", "fault: earthquake")], &[("PM0203", 13, 13)]),
    (
        "unknown-kinds",
        &[("probe: writable", "probe: writeable"), ("detect: table-readable", "detect: smoke"), ("recover: pitr", "recover: ptir")],
        &[("PM0204", 11, 17), ("PM0204", 14, 14), ("PM0205", 15, 15)],
    ),
    (
        "unknown-method-and-workload",
        &[("with: basebackup-wal", "with: rsync"), ("kind: linked", "kind: linkd")],
        &[("PM0207", 8, 18), ("PM0206", 9, 35)],
    ),
    ("unknown-expectation", &[("[exact,", "[exakt,")], &[("PM0208", 16, 10)]),
    ("two-actions", &[("fault: drop-table", "fault: drop-table, detect: writable")], &[("PM0209", 13, 5)]),
    ("nothing-goes-wrong", &[("  - {fault: drop-table, on: db, table: ledger_b}\n", "")], &[("PM0210", 13, 6), ("PM0210", 14, 6)]),
    ("another-fault-before", &[("before: drop-table", "before: crash")], &[("PM0210", 15, 55)]),
    ("alert-without-margin", &[("known_from: wal", "known_from: alert")], &[("PM0211", 15, 79)]),
    (
        "alert-without-detection",
        &[("  - {detect: table-readable, within: 30s}\n", ""), ("known_from: wal", "known_from: alert, margin: 1s")],
        &[("PM0210", 14, 79)],
    ),
    ("alert-with-no-margin-at-all", &[("known_from: wal", "known_from: alert, margin: 0s")], &[("PM0211", 15, 94)]),
    ("step-after-the-recovery", &[("expect:", "  - {fault: crash, on: db}\nexpect:")], &[("PM0210", 16, 5)]),
    ("person-who-takes-no-time", &[("within: 30s", "within: 30s, human: true")], &[("PM0103", 14, 5)]),
    ("second-database", &[("  store:", "  replica: {postgres: {}}\n  store:")], &[("PM0216", 7, 12)]),
    (
        "promises-without-their-recovery",
        &[("pitr", "archive-end"), (", to: {before: drop-table, known_from: wal}", "")],
        &[("PM0217", 10, 42), ("PM0217", 16, 10), ("PM0217", 16, 17)],
    ),
    ("margin-without-alert", &[("known_from: wal", "known_from: wal, margin: 2s")], &[("PM0217", 15, 92)]),
    ("wrong-kind-of-system", &[("of: db", "of: store"), ("to: store", "to: db")], &[("PM0212", 9, 14), ("PM0212", 9, 25)]),
    ("unknown-row", &[("S1-3", "S9-1")], &[("PM0213", 4, 8)]),
    (
        "several",
        &[
            ("archive_timeout", "archive_timout"),
            ("200/s", "fast"),
            ("rto: 15m", "rto: soon"),
            ("drop-table, on", "drop-tabel, on"),
            ("[exact", "[exakt"),
        ],
        &[("PM0101", 6, 31), ("PM0108", 8, 44), ("PM0106", 10, 19), ("PM0203", 13, 13), ("PM0208", 16, 10)],
    ),
    ("tag", &[("about: A", "about: !!python/object A")], &[("PM0007", 3, 8)]),
    ("unclosed-bracket", &[("clients: 4", "clients: [4")], &[("PM0004", 8, 35)]),
    ("unclosed-quote", &[("about: A", "about: \"A")], &[("PM0004", 4, 1)]),
    ("colon-in-text", &[("about: A", "about: Note: a")], &[("PM0004", 3, 12)]),
    ("indentation", &[("  store:", "   store:")], &[("PM0004", 7, 4)]),
    ("tab", &[("  db:", "\tdb:")], &[("PM0004", 6, 2)]),
    ("unknown-anchor", &[("about: A table is dropped under load", "about: *nowhere")], &[("PM0004", 3, 8)]),
    ("nul-byte", &[("about: A", "about: A\0")], &[("PM0004", 3, 9)]),
    ("escape-byte", &[("about: A", "about: \x1b[31mA")], &[("PM0004", 3, 8)]),
    ("escape-in-a-key", &[("about:", "\"ab\\e[31mout\":")], &[("PM0101", 3, 1)]),
    ("wide-characters", &[("about: A table", "about: 表が落ちる"), ("S1-3", "災害")], &[("PM0213", 4, 8)]),
];

/// A whole file: name, content, findings.
type File = (&'static str, Vec<u8>, &'static [(&'static str, u64, u64)]);

fn files() -> Vec<File> {
    let utf16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| [mark.to_vec(), BASE.encode_utf16().flat_map(bytes).collect()].concat();
    let broken = BASE.replace("archive_timeout", "archive_timout");
    vec![
        ("file-empty", vec![], &[("PM0006", 1, 1)]),
        ("file-of-comments", b"# nothing yet\n".to_vec(), &[("PM0006", 1, 1)]),
        ("file-of-nothing", b"~\n".to_vec(), &[("PM0104", 1, 1)]),
        ("file-of-a-list", b"- a\n- b\n".to_vec(), &[("PM0104", 1, 1)]),
        ("file-of-two-documents", format!("{BASE}---\n{BASE}").into_bytes(), &[("PM0006", 19, 1)]),
        ("file-in-utf-16", utf16(&[0xff, 0xfe], u16::to_le_bytes), &[("PM0002", 1, 1)]),
        ("file-in-utf-16-big-endian", utf16(&[0xfe, 0xff], u16::to_be_bytes), &[("PM0002", 1, 1)]),
        ("file-in-utf-16-without-mark", utf16(&[], u16::to_le_bytes), &[("PM0002", 1, 1)]),
        ("file-in-latin-1", [&b"# base\nabout: une table tomb"[..], &[0xe9], b"e\n"].concat(), &[("PM0002", 2, 22)]),
        ("file-with-crlf", broken.replace('\n', "\r\n").into_bytes(), &[("PM0101", 6, 31)]),
    ]
}

/// Files that are made to cost time or memory.
fn hostile() -> Vec<(&'static str, String, &'static str)> {
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string(), |text, i| {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        format!("{text}a{i}: &a{i} [{refs}]\n")
    });
    let nested = (0..60).fold("x, ".repeat(60_000), |text, i| format!("&a{i} [{text}]"));
    let keys = |between: &str| (0..90_000).map(|i| format!("k{i}: 1")).collect::<Vec<_>>().join(between);
    vec![
        ("billion-laughs", bomb, "PM0005"),
        ("long-text-many-times", format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 2000].join(", ")), "PM0005"),
        ("anchors-in-anchors", format!("scenario: {nested}\n"), "PM0005"),
        ("alias-in-itself", "a: &a [*a]\n".into(), "PM0005"),
        ("brackets", "[".repeat(100_000), "PM0005"),
        ("blocks", (0..500).map(|i| format!("{}a:\n", "  ".repeat(i))).collect(), "PM0005"),
        ("ten-megabytes", format!("scenario: {}\n", "x".repeat(10 << 20)), "PM0003"),
        ("ten-megabytes-of-zeros", "\0".repeat(10 << 20), "PM0003"),
        ("long-name", format!("scenario: {}\n", "x".repeat(3 << 20)), "PM0112"),
        ("long-key", format!("? {}\n: 1\n", "x".repeat(3 << 20)), "PM0101"),
        ("many-keys", keys("\n"), "PM0101"),
    ]
}

/// Of these, what is said.
const HOSTILE_SHOWN: [&str; 3] = ["billion-laughs", "brackets", "ten-megabytes"];

/// What is typed wrongly after `drill`: name, arguments.
const TYPED: &[(&str, &[&str])] = &[
    ("scenario-misspelt", &["postgres-drop-tabel"]),
    ("scenario-own-misspelt", &["my-owm"]),
    ("scenario-like-nothing", &["earthquake"]),
    ("scenario-missing-file", &["nowhere.yaml"]),
    ("scenario-missing-file-of-a-shipped-name", &["scenarios/postgres-crash.yaml"]),
    ("scenario-directory", &["scenarios"]),
    ("scenarios-several-wrong", &["nowhere.yaml", "postgres-crash", "postgres-drop-tabel", "my-own", "broken.yaml"]),
    ("set-without-value", &["my-own", "--set", "rate"]),
    ("set-without-key", &["my-own", "--set", "=1"]),
    ("set-misspelt", &["my-own", "--set", "ratee=1/s"]),
    ("set-misspelt-path", &["my-own", "--set", "systems.db.postgres.dta=1MiB"]),
    ("set-like-nothing", &["my-own", "--set", "colour=red"]),
    ("set-ambiguous", &["my-own", "--set", "on=db"]),
    ("set-bad-value", &["my-own", "--set", "rate=fast", "--set", "data=8"]),
    ("set-bad-default", &["my-own", "--set", "every=soon"]),
    ("set-bad-yaml", &["my-own", "--set", "encrypt={age: "]),
    ("set-secret", &["my-own", "--set", "encrypt={age: hunter2CANARY}", "--set", "age=hunter3CANARY", "--set", "password=hunter4CANARY"]),
    ("set-for-one-of-two", &["--set", "phase=random", "--set", "rate=fast"]),
    ("set-contradiction", &["postgres-instance-lost", "--set", "rpo=1s"]),
    ("sabotage-misspelt", &["my-own", "--sabotage", "archive-skip-segment"]),
    ("sabotage-like-nothing", &["my-own", "--sabotage", "hammer"]),
    ("lab-unknown", &["my-own", "--lab", "dokcer"]),
    ("repeat-nought", &["my-own", "--repeat", "0"]),
    ("repeat-negative", &["my-own", "--repeat", "-3"]),
    ("repeat-not-a-number", &["my-own", "--repeat", "often"]),
    ("seed-negative", &["my-own", "--seed", "-1"]),
    ("out-is-a-file", &["my-own", "--out", "broken.yaml"]),
    ("out-below-a-file", &["my-own", "--out", "broken.yaml/runs"]),
    ("scratch-is-a-file", &["my-own", "--scratch", "broken.yaml"]),
    ("option-unknown", &["my-own", "--sabotag", "x"]),
];

/// The snapshots of this file.
pub fn snapshots() -> Vec<String> {
    let changed = CASES.iter().map(|(name, ..)| format!("lint-{name}"));
    let whole = files().into_iter().map(|(name, ..)| format!("lint-{name}"));
    let typed = TYPED.iter().map(|(name, _)| format!("drill-{name}"));
    let others = ["lint-contradictions", "lint-directory", "falsify-unknown-names"].map(String::from);
    let hostile = HOSTILE_SHOWN.iter().map(|name| format!("lint-{name}"));
    changed.chain(whole).chain(typed).chain(hostile).chain(others).collect()
}

/// `base.yaml` with replacements, each of which must hit.
fn changed(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(BASE.to_string(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

/// Code, line and column of each finding; each must say what to do.
fn findings(ran: &Ran) -> Vec<(String, u64, u64)> {
    let json = ran.json();
    let one = |d: &serde_json::Value| {
        assert!(d["help"].as_str().is_some_and(|h| !h.is_empty()), "no help: {d}");
        assert_eq!(d["file"], "drill.yaml");
        (d["code"].as_str().unwrap().to_string(), d["line"].as_u64().unwrap(), d["column"].as_u64().unwrap())
    };
    json["diagnostics"].as_array().unwrap().iter().map(one).collect()
}

/// One bad file through `lint` and `drill`.
fn refuse(name: &str, content: &[u8], expected: &[(&str, u64, u64)]) {
    let place = Place::new();
    place.write("drill.yaml", content);
    let json = place.run(&["lint", "drill.yaml", "--format", "json"]);
    let found = findings(&json);
    let found: Vec<(&str, u64, u64)> = found.iter().map(|(code, line, column)| (code.as_str(), *line, *column)).collect();
    assert_eq!(found, expected, "{name}");
    let human = place.run(&["lint", "drill.yaml"]);
    assert_eq!((json.exit, human.exit, human.stdout.as_str()), (2, 2, ""), "{name}");
    for (code, line, column) in expected {
        assert!(human.stderr.contains(&format!("[{code}]")), "{name}: {code}");
        // A finding about a whole file has no place in it.
        let place = human.stderr.contains(&format!("--> drill.yaml:{line}:{column}\n")) && human.stderr.contains('^');
        let whole = (*line, *column) == (1, 1) && human.stderr.contains("--> drill.yaml\n");
        assert!(place || whole, "{name}: {line}:{column}\n{}", human.stderr);
    }
    assert_eq!(human.stderr.matches("= help: ").count(), expected.len(), "{name}");
    assert!(human.stderr.chars().all(|c| c == '\n' || !c.is_control()), "{name}: control characters are passed on");
    for text in [&human.stderr, &json.stdout] {
        assert!(!text.contains("CANARY"), "{name}: a secret is shown\n{text}");
    }
    let drill = place.run(&["drill", "drill.yaml", "--out", "evidence", "--scratch", "scratch"]);
    assert_eq!((drill.exit, drill.stdout.as_str()), (2, ""), "{name}");
    assert!(human.stderr.starts_with(&drill.stderr), "{name}: drill says\n{}", drill.stderr);
    assert!(!place.has("evidence") && !place.has("scratch"), "{name}: something was begun");
    snapshot(&format!("lint-{name}"), &human.shown(&["lint", "drill.yaml"]));
}

#[test]
fn the_base_of_these_tests_is_sound() {
    let place = Place::new();
    place.write("drill.yaml", BASE).write("crlf.yaml", BASE.replace('\n', "\r\n")).write("mark.yml", format!("\u{feff}{BASE}"));
    let ran = place.run(&["lint", "."]);
    assert_eq!((ran.exit, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", "3 files read, nothing found\n"));
    assert_eq!(place.run(&["lint"]).stderr, "3 files read, nothing found\n", "the shipped ones");
}

#[test]
fn each_mistake_is_one_finding_with_place_code_and_help() {
    CASES.iter().for_each(|(name, edits, expected)| refuse(name, changed(edits).as_bytes(), expected));
}

#[test]
fn files_that_are_no_scenario_are_refused_as_such() {
    files().into_iter().for_each(|(name, content, expected)| refuse(name, &content, expected));
}

#[test]
fn hostile_files_cost_neither_time_nor_memory() {
    for (name, content, code) in hostile() {
        let place = Place::new();
        place.write("drill.yaml", content);
        for typed in ["lint drill.yaml", "lint drill.yaml --format json", "drill drill.yaml --out evidence"] {
            // A second of processor time and 512 MiB of address space; the kernel kills what takes more.
            let limited = format!("ulimit -t 1; ulimit -v 524288; exec {PROGRAM} {typed}");
            let ran = Ran::from(command("/bin/sh", &place.dir).args(["-c", &limited]).output().unwrap(), &[name, typed]);
            assert_eq!(ran.exit, 2, "{name}: {typed}: {}", ran.stderr);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains(code), "{name}: {typed}: {said}");
            if HOSTILE_SHOWN.contains(&name) && typed == "lint drill.yaml" {
                snapshot(&format!("lint-{name}"), &ran.shown(&["lint", "drill.yaml"]));
            }
            // What is said about a large file is not large.
            assert!(said.len() < 100_000, "{name}: {typed}: {} bytes", said.len());
        }
        assert!(!place.has("evidence"), "{name}");
    }
}

#[test]
fn what_is_typed_wrongly_is_said_before_anything_is_started() {
    for (name, args) in TYPED {
        let place = Place::new();
        place.write("scenarios/my-own.yaml", BASE).write("broken.yaml", changed(&[("rate: 200/s", "rate: fast")]));
        let mut all = vec!["drill"];
        all.extend(*args);
        let defaults: &[&str] = if args.contains(&"--out") { &[] } else { &["--out", "evidence"] };
        all.extend(defaults);
        let ran = place.run(&all);
        let expected = if *name == "set-contradiction" { 10 } else { 2 };
        assert_eq!((ran.exit, ran.stdout.as_str()), (expected, ""), "{name}: {}", ran.stderr);
        assert!(!ran.stderr.contains("CANARY"), "{name}: a secret is shown\n{}", ran.stderr);
        let runs = std::fs::read_dir(place.path("evidence")).map_or(0, |d| d.count());
        assert_eq!(runs, 0, "{name}: a run was begun");
        all.truncate(all.len() - defaults.len());
        snapshot(&format!("drill-{name}"), &ran.shown(&all));
    }
}

#[test]
fn a_promise_that_cannot_hold_is_contradicted_by_arithmetic() {
    let place = Place::new();
    let recover = [
        ("recover: pitr", "recover: archive-end"),
        (", to: {before: drop-table, known_from: wal}", ""),
        (", rewind: 15m", ""),
        ("expect: [exact, control-restore-differs]\n", ""),
    ];
    let edits = [&recover[..], &[("rpo: 15m", "rpo: 5s"), ("lead: 2s", "lead: 0s")]].concat();
    place.write("drill.yaml", changed(&edits));
    let ran = place.run(&["lint", "drill.yaml"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (10, ""));
    snapshot("lint-contradictions", &ran.shown(&["lint", "drill.yaml"]));
    let json = place.run(&["lint", "drill.yaml", "--format", "json"]);
    assert_eq!(findings(&json), [("PM0302".into(), 8, 71), ("PM0301".into(), 10, 29)]);
    assert_eq!(json.exit, 10);
    let drill = place.run(&["drill", "drill.yaml", "--out", "evidence"]);
    assert_eq!(drill.exit, 10);
    assert!(!place.has("evidence"));
    // The worst case itself can be promised: five seconds and one until the switch is noticed.
    let edits = [&recover[..], &[("rpo: 15m", "rpo: 6s")]].concat();
    place.write("drill.yaml", changed(&edits));
    assert_eq!(place.run(&["lint", "drill.yaml"]).exit, 0);
}

#[test]
fn a_directory_is_read_to_its_end_and_a_link_that_leads_back_is_said() {
    let place = Place::new();
    place.write("all/a.yaml", changed(&[("rto: 15m", "rto: soon")])).write("all/below/b.yml", changed(&[("200/s", "fast")]));
    place.write("all/notes.txt", "not: [yaml");
    std::os::unix::fs::symlink("..", place.path("all/below/back")).unwrap();
    let args = ["lint", "all", "nowhere", "all/a.yaml"];
    let ran = place.run(&args);
    assert_eq!(ran.exit, 2);
    snapshot("lint-directory", &ran.shown(&args));
    let empty = place.write("empty/notes.txt", "").run(&["lint", "empty"]);
    assert_eq!((empty.exit, empty.stdout.as_str()), (3, ""));
    assert!(empty.stderr.contains("nothing was read"), "{}", empty.stderr);
}

#[test]
fn falsify_refuses_names_like_drill_does() {
    let place = Place::new();
    let mut all = String::new();
    for args in [&["falsify", "postgres-crahs"][..], &["falsify", "--only", "wrong-kye"], &["falsify", "postgres-crash", "--set", "rate=x"]] {
        let ran = place.run(args);
        assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""), "{args:?}");
        all.push_str(&ran.shown(args));
    }
    assert!(!place.has("reports"));
    snapshot("falsify-unknown-names", &all);
}
