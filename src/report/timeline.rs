//! The timeline of a run as an inline SVG: what became of the writes of each interval, the moments, the phases, and the cut
//! with what lies on both sides of it. Colours come from the page's own classes, so that it follows light, dark and print.

use crate::model::event::{Event, Moment, Role};
use crate::model::ledger::OpOutcome;
use crate::model::time::Stamp;
use crate::model::units::human_duration;
use crate::verdict::exact::CommitOrder;
use crate::verdict::times::Phase;
use crate::verdict::{Record, Verdict};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;

/// Text for an SVG or HTML attribute or element.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

struct Scale {
    from: u64,
    to: u64,
}

impl Scale {
    fn x(&self, t: Stamp) -> f64 {
        let span = (self.to - self.from).max(1) as f64;
        LEFT + (t.0.clamp(self.from, self.to) - self.from) as f64 / span * (WIDTH - LEFT - RIGHT)
    }
}

/// From two seconds before the fault to a little after the last phase of the recovery.
fn window(record: &Record, verdict: &Verdict) -> Option<Scale> {
    let fault = verdict.times.fault?;
    let last = [
        verdict.times.verified,
        record.moment(Moment::SteadyAgain),
        verdict.times.phases.iter().map(|p| p.to).filter(|t| verdict.times.verified.is_none_or(|v| *t <= v)).max(),
    ];
    let last = last.into_iter().flatten().max().or(record.events.last().map(|e| e.t))?;
    let from = fault - Duration::from_secs(2);
    let to = last + Duration::from_millis(200);
    (to.0 > from.0).then_some(Scale { from: from.0, to: to.0 })
}

/// The timeline with what its legend must say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The picture; empty if the run never reached its fault.
    pub svg: String,
    /// Length of the interval that one bar stands for.
    pub per: String,
    /// Some acknowledged writes were given up or lost.
    pub gone: bool,
    /// Some writes failed or are in doubt.
    pub failed: bool,
    /// Some attempts to connect failed.
    pub away: bool,
}

/// The timeline of a run.
pub fn timeline(record: &Record, verdict: &Verdict) -> Timeline {
    let Some(scale) = window(record, verdict) else { return Timeline::default() };
    let in_rto = |p: &&Phase| !p.name.ends_with("(after the RTO)");
    let phases: Vec<&Phase> = verdict.times.phases.iter().filter(in_rto).collect();
    let bars = bars(record, &scale);
    let chart = 150.0;
    let moments_top = 46.0;
    let lanes_top = moments_top + chart + 34.0;
    let height = lanes_top + phases.len() as f64 * 22.0 + 6.0;
    let mut s = String::new();
    let title = describe(verdict);
    let _ = write!(s, r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}" class="timeline">"#, escape(&title));
    let _ = write!(s, "<title>{}</title>", escape(&title));
    draw(&mut s, &bars, &scale, moments_top, chart);
    axis(&mut s, verdict, &scale, moments_top + chart);
    moments(&mut s, record, &scale, moments_top, chart);
    for (i, p) in phases.iter().enumerate() {
        lane(&mut s, p, &scale, lanes_top + i as f64 * 22.0);
    }
    s.push_str("</svg>");
    let any = |f: fn(&Bar) -> u32| bars.iter().any(|b| f(b) > 0);
    let per = human_duration(PER * together(record, &scale) as u32);
    Timeline { svg: s, per, gone: any(|b| b.gone), failed: any(|b| b.failed), away: any(|b| b.away) }
}

fn describe(v: &Verdict) -> String {
    let rto = v
        .times
        .verified_rto_ns
        .map_or("was never verified".into(), |n| format!("was verified {} after the fault", human_duration(Duration::from_nanos(n))));
    format!("Timeline: what became of the writes around the fault, in short intervals; the recovery {rto}. The phases are listed in the table below.")
}

/// The interval in which the load is counted.
const PER: Duration = Duration::from_millis(100);
/// Most bars that are drawn; where there are more intervals, several share a bar.
const MOST_BARS: usize = 300;

/// What became of the writes of an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bar {
    from: Stamp,
    to: Stamp,
    /// Acknowledged, and not known to be gone.
    kept: u32,
    /// Acknowledged by the instance that the disaster hit, and not there after the recovery.
    gone: u32,
    /// Failed or in doubt.
    failed: u32,
    /// Failed attempts to connect: no writes.
    away: u32,
}

/// The ends of the intervals in which the load was counted, with the errors of each.
fn intervals(record: &Record, scale: &Scale) -> Vec<(Stamp, u32)> {
    let all = record.events.iter().filter(|e| e.t.0 > scale.from && e.t.0 <= scale.to).filter_map(|e| match e.event {
        Event::Load { bad, .. } => Some((e.t, bad)),
        _ => None,
    });
    all.collect()
}

/// How many intervals share a bar.
fn together(record: &Record, scale: &Scale) -> usize {
    intervals(record, scale).len().div_ceil(MOST_BARS).max(1)
}

/// Writes are counted in the ledger, which knows what became of each. What the load counted as an error beyond the ledger's
/// failures are attempts to connect.
fn bars(record: &Record, scale: &Scale) -> Vec<Bar> {
    let Some(book) = &record.book else { return Vec::new() };
    let origin = record.instances(Role::Origin).first().copied().unwrap_or_default();
    let recovered = record.recovered.as_ref().filter(|s| s.to.is_some());
    let intervals = intervals(record, scale);
    let mut bars: Vec<Bar> = Vec::with_capacity(intervals.len());
    for (to, bad) in &intervals {
        // A tick that came late stands for all the time since the last one.
        let from = bars.last().map_or(*to - PER, |b| b.to);
        bars.push(Bar { from, to: *to, away: *bad, ..Bar::default() });
    }
    for (c, client, n, entry) in book.all() {
        let at = bars.partition_point(|b| b.to < entry.completed);
        let Some(bar) = bars.get_mut(at).filter(|b| entry.completed > b.from) else { continue };
        match entry.outcome {
            OpOutcome::Ok if client.instance == origin && recovered.is_some_and(|s| !s.present(c, n)) => bar.gone += 1,
            OpOutcome::Ok => bar.kept += 1,
            OpOutcome::Fail | OpOutcome::Unknown => {
                bar.failed += 1;
                bar.away = bar.away.saturating_sub(1);
            }
        }
    }
    let merged = bars.chunks(together(record, scale)).map(|chunk| {
        let mut bar = chunk.iter().fold(Bar::default(), |sum, b| Bar {
            kept: sum.kept + b.kept,
            gone: sum.gone + b.gone,
            failed: sum.failed + b.failed,
            away: sum.away + b.away,
            ..sum
        });
        (bar.from, bar.to) = (chunk[0].from, chunk[chunk.len() - 1].to);
        bar
    });
    merged.collect()
}

/// Bars stand on one another, so that none hides another.
fn draw(s: &mut String, bars: &[Bar], scale: &Scale, top: f64, height: f64) {
    let most = bars.iter().map(|b| b.kept + b.gone + b.failed).max().unwrap_or(0);
    for b in bars {
        let (x1, x2) = (scale.x(b.from), scale.x(b.to));
        if b.away > 0 {
            let _ = write!(s, r#"<rect class="away" x="{x1:.1}" y="{top:.1}" width="{:.1}" height="{height:.1}"/>"#, (x2 - x1).max(0.6));
        }
        let width = (x2 - x1 - 0.6).max(0.6);
        let mut y = top + height;
        for (value, class) in [(b.kept, "ok"), (b.gone, "gone"), (b.failed, "bad")] {
            if value > 0 {
                let h = (f64::from(value) / f64::from(most) * (height - 6.0)).max(1.5);
                y -= h;
                let _ = write!(s, r#"<rect class="{class}" x="{x1:.1}" y="{y:.1}" width="{width:.1}" height="{h:.1}"/>"#);
            }
        }
    }
    let label = |s: &mut String, y: f64, text: &str| {
        let _ = write!(s, r#"<text class="small" x="{:.0}" y="{y:.0}" text-anchor="end">{text}</text>"#, LEFT - 6.0);
    };
    // The tallest bar as a rate: of the time that it stands for.
    let rate = |b: &Bar| f64::from(b.kept + b.gone + b.failed) / b.to.since(b.from).as_secs_f64().max(1e-3);
    if let Some(tallest) = bars.iter().filter(|b| most > 0 && b.kept + b.gone + b.failed == most).map(rate).reduce(f64::min) {
        label(s, top + 10.0, &format!("{tallest:.0}/s"));
    }
    label(s, top + height, "0");
}

fn axis(s: &mut String, v: &Verdict, scale: &Scale, y: f64) {
    let _ = write!(s, r#"<line class="axis" x1="{LEFT}" x2="{:.1}" y1="{y}" y2="{y}"/>"#, WIDTH - RIGHT);
    let Some(fault) = v.times.fault else { return };
    let span = (scale.to - scale.from) as f64 / 1e9;
    let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0].into_iter().find(|s| span / s <= 12.0).unwrap_or(7200.0);
    let first = ((scale.from as f64 - fault.0 as f64) / 1e9 / step).ceil() as i64;
    let last = ((scale.to as f64 - fault.0 as f64) / 1e9 / step).floor() as i64;
    for i in first..=last {
        let seconds = i as f64 * step;
        let x = scale.x(Stamp((fault.0 as f64 + seconds * 1e9).max(0.0) as u64));
        let label = if step < 1.0 { format!("{seconds:+.1} s") } else { format!("{seconds:+.0} s") };
        let label = if i == 0 { "0".to_string() } else { label.replace('-', "−") };
        let _ = write!(
            s,
            r#"<line class="axis" x1="{x:.1}" x2="{x:.1}" y1="{y}" y2="{}"/><text class="small" x="{x:.1}" y="{}" text-anchor="middle">{label}</text>"#,
            y + 4.0,
            y + 16.0
        );
    }
}

/// The moments as lines, their names staggered where they would overlap.
fn moments(s: &mut String, record: &Record, scale: &Scale, top: f64, height: f64) {
    const SHOWN: [(Moment, &str, &str); 7] = [
        (Moment::Fault, "fault", "fault"),
        (Moment::Detect, "detected", "mark"),
        (Moment::Stop, "old instance gone", "mark"),
        (Moment::Located, "target found", "mark"),
        (Moment::Consistent, "promoted", "mark"),
        (Moment::Write, "first write", "mark"),
        (Moment::Verified, "verified", "verified"),
    ];
    let mut rows_end = [f64::MIN; 3];
    for (moment, name, class) in SHOWN {
        let Some(t) = record.moment(moment).filter(|t| t.0 >= scale.from && t.0 <= scale.to) else { continue };
        // An instance that is lost is gone at the moment of the fault.
        if moment == Moment::Stop && record.moment(Moment::Fault).is_some_and(|f| t.since(f) < Duration::from_millis(1)) {
            continue;
        }
        let x = scale.x(t);
        let width = name.len() as f64 * 6.6;
        let (from, anchor) = if x + width > WIDTH - RIGHT { (x - width, "end") } else { (x, "start") };
        let row = rows_end.iter().position(|end| *end < from).unwrap_or(2);
        rows_end[row] = from + width + 10.0;
        let y = top - 32.0 + row as f64 * 13.0;
        let _ = write!(s, r#"<line class="{class}" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"/>"#, y + 2.0, top + height);
        let _ = write!(
            s,
            r#"<text class="label" x="{:.1}" y="{y:.1}" text-anchor="{anchor}">{name}</text>"#,
            if anchor == "start" { x + 3.0 } else { x - 3.0 }
        );
    }
}

fn lane(s: &mut String, p: &Phase, scale: &Scale, y: f64) {
    let (x1, x2) = (scale.x(p.from), scale.x(p.to));
    let width = (x2 - x1).max(2.0);
    let took = human_duration(p.to.since(p.from));
    let _ = write!(s, r#"<rect class="phase" x="{x1:.1}" y="{y:.1}" width="{width:.1}" height="14" rx="2"/>"#);
    let text = format!("{} · {took}", p.name);
    let needed = text.chars().count() as f64 * 6.4 + 8.0;
    // Beside the bar where there is room: to its right, else to its left.
    let (x, anchor) = if x2 + needed < WIDTH { (x1 + width + 6.0, "start") } else { (x1 - 6.0, "end") };
    let _ = write!(s, r#"<text class="label" x="{x:.1}" y="{:.1}" text-anchor="{anchor}">{}</text>"#, y + 11.0, escape(&text));
}

/// The cut with what lies on both sides of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CutPicture {
    /// The picture; empty where the commit order is not known.
    pub svg: String,
    /// Transactions that are shown before it.
    pub before: usize,
    /// Transactions that are shown after it.
    pub after: usize,
    /// Some are in doubt.
    pub doubt: bool,
    /// Some are where they must not be, or are not where they must be.
    pub bad: bool,
}

/// The last transactions before and the first after the cut, in commit order, as they were found.
pub fn cut(record: &Record) -> CutPicture {
    const EACH_SIDE: usize = 60;
    let none = CutPicture::default();
    let (Some(book), Some(seen), Some(lines), Some(target)) = (&record.book, &record.recovered, &record.wal, record.target()) else {
        return none;
    };
    let order = CommitOrder::new(lines);
    let Ok(cut) = order.cut(target) else { return none };
    let origin = record.instances(Role::Origin).first().copied().unwrap_or_default();
    let mut all: Vec<(u64, bool, OpOutcome, String)> = book
        .all()
        .filter(|(_, client, ..)| client.instance == origin)
        .filter_map(|(c, _, n, e)| Some((order.commit_of(e.xid?)?.0, seen.present(c, n), e.outcome, format!("{c}.{n}"))))
        .collect();
    all.sort_by_key(|a| a.0);
    let at = all.partition_point(|a| a.0 < cut.0);
    let (from, to) = (at.saturating_sub(EACH_SIDE), (at + EACH_SIDE).min(all.len()));
    if from == to {
        return none;
    }
    let (before, after) = (at - from, to - at);
    // Both sides fill the width; few marks do not become slabs.
    let step = ((WIDTH - 40.0) / (before + after) as f64).min(16.0);
    let left = (WIDTH - step * (before + after) as f64) / 2.0;
    let x_of = |i: usize| left + (i - from) as f64 * step;
    let title = format!("The cut: {before} transactions before it are shown, {after} after it; each mark is one transaction in commit order.");
    let mut s = format!(r#"<svg viewBox="0 0 {WIDTH} 74" role="img" aria-label="{0}" class="timeline"><title>{0}</title>"#, escape(&title));
    let (mut doubt, mut bad) = (false, false);
    for (i, (_, present, outcome, id)) in all.iter().enumerate().take(to).skip(from) {
        let class = match (present, outcome, i < at) {
            // Whatever its client was told, what committed before the cut must be there, and nothing else.
            (true, OpOutcome::Unknown, true) | (false, OpOutcome::Unknown, false) => "doubt",
            (true, _, true) => "ok",
            (false, _, false) => "gone",
            _ => "bad",
        };
        (doubt, bad) = (doubt || class == "doubt", bad || class == "bad");
        let state = if *present { "kept" } else { "given up" };
        let _ =
            write!(s, r#"<rect class="{class}" x="{:.1}" y="26" width="{:.1}" height="24"><title>{id}: {state}</title></rect>"#, x_of(i), step - 1.5);
    }
    let x = left + before as f64 * step - 0.75;
    // The target's name stays inside of the picture, wherever the cut lies.
    let half = (target.value.chars().count() as f64 + 12.0) * 3.2;
    let label = x.clamp(half, WIDTH - half);
    let _ = write!(
        s,
        r#"<line class="fault" x1="{x:.1}" x2="{x:.1}" y1="16" y2="58"/><text class="label" x="{label:.1}" y="12" text-anchor="middle">cut: {} {}</text>"#,
        target.kind.word(),
        escape(&target.value)
    );
    let _ = write!(s, r#"<text class="small" x="{:.1}" y="68" text-anchor="end">before it</text>"#, x - 5.0);
    let _ = write!(s, r#"<text class="small" x="{:.1}" y="68">after it</text></svg>"#, x + 6.0);
    CutPicture { svg: s, before, after, doubt, bad }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Stamped;
    use crate::verdict::book::{Book, Client, Entry};
    use crate::verdict::judge;
    use crate::verdict::seen::{Rows, Seen};

    const MS: u64 = 1_000_000;

    /// One client that writes at 50 ms kept, at 60 ms given up, fails at 70 ms and is in doubt at 80 ms; the load counts two failed
    /// attempts to connect besides.
    fn record(bad: u32) -> Record {
        let op = |at: u64, outcome| Some(Entry { invoked: Stamp((at - 1) * MS), completed: Stamp(at * MS), xid: None, outcome, linked: false });
        let ops = vec![op(2050, OpOutcome::Ok), op(2060, OpOutcome::Ok), op(2070, OpOutcome::Fail), op(2080, OpOutcome::Unknown)];
        let mut client = Client::new("ledger_a", "1/1");
        client.ops = ops;
        let book = Book { clients: [(1, client)].into(), ..Book::default() };
        let rows = [((1, 0), Rows { presence: 1, journal: 1, ledgered: 1 })].into();
        let started = Event::InstanceStarted {
            role: Role::Origin,
            instance: "1/1".into(),
            system_identifier: "1".into(),
            version: "18".into(),
            timeline: None,
            settings: Default::default(),
        };
        let events = [
            (0, started),
            (2000, Event::Moment { moment: Moment::Fault, step: None, proof: String::new() }),
            (2100, Event::Load { ok: 2, bad }),
            (2200, Event::Load { ok: 0, bad: 0 }),
            (2300, Event::Moment { moment: Moment::Verified, step: None, proof: String::new() }),
        ];
        let events = events.into_iter().map(|(t, event)| Stamped { t: Stamp(t * MS), event }).collect();
        let recovered = Some(Seen { rows, to: Some(Stamp(2290 * MS)), ..Seen::default() });
        Record { events, recovered, book: Some(book), ..Record::default() }
    }

    #[test]
    fn bars_stand_on_one_another_and_attempts_to_connect_are_no_writes() {
        let r = record(4);
        let t = timeline(&r, &judge(&r));
        assert_eq!((t.gone, t.failed, t.away, t.per.as_str()), (true, true, true, "100 ms"));
        let scale = window(&r, &judge(&r)).unwrap();
        let bars = bars(&r, &scale);
        assert_eq!((bars[0].kept, bars[0].gone, bars[0].failed, bars[0].away), (1, 1, 2, 2));
        // Kept, given up and failed: each begins where the one below it ends.
        let field = |class: &str, name: &str| -> f64 {
            let rect = t.svg.split("<rect ").find(|r| r.starts_with(&format!("class=\"{class}\""))).unwrap();
            rect.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        for (above, below) in [("gone", "ok"), ("bad", "gone")] {
            assert!((field(above, "y") + field(above, "height") - field(below, "y")).abs() < 0.11, "{above} stands on {below}");
        }
        let t = timeline(&record(2), &judge(&record(2)));
        assert!(t.failed && !t.away, "two failed, and nobody failed to connect");
    }

    #[test]
    fn many_intervals_share_bars_and_the_legend_says_how_many() {
        let mut r = record(4);
        let last = r.events.pop().unwrap();
        r.events.extend((23..1000).map(|i| Stamped { t: Stamp(i * 100 * MS), event: Event::Load { ok: 0, bad: 0 } }));
        r.events.push(Stamped { t: Stamp(100_000 * MS), ..last });
        let t = timeline(&r, &judge(&r));
        assert_eq!(t.per, "400 ms");
        assert!(t.svg.matches("<rect").count() < 10);
    }
}
