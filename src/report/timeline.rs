//! The timeline of a run as an inline SVG: acknowledgements and errors per 100 ms, the moments, the phases, and the cut
//! with what lies on both sides of it. Colours come from the page's own classes, so that it follows light, dark and print.

use crate::model::event::{Event, Moment};
use crate::model::ledger::OpOutcome;
use crate::model::time::Stamp;
use crate::model::units::human_duration;
use crate::verdict::exact::CommitOrder;
use crate::verdict::times::Phase;
use crate::verdict::{Record, Verdict};
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

/// The timeline; empty if the run never reached its fault.
pub fn svg(record: &Record, verdict: &Verdict) -> String {
    let Some(scale) = window(record, verdict) else { return String::new() };
    let in_rto = |p: &&Phase| !p.name.ends_with("(after the RTO)");
    let phases: Vec<&Phase> = verdict.times.phases.iter().filter(in_rto).collect();
    let chart = 150.0;
    let moments_top = 40.0;
    let lanes_top = moments_top + chart + 34.0;
    let height = lanes_top + phases.len() as f64 * 22.0 + 14.0;
    let mut s = String::new();
    let title = describe(verdict);
    let _ = write!(s, r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}" class="timeline">"#, escape(&title));
    let _ = write!(s, "<title>{}</title>", escape(&title));
    bars(&mut s, record, &scale, moments_top, chart);
    axis(&mut s, verdict, &scale, moments_top + chart);
    moments(&mut s, record, &scale, moments_top, chart);
    for (i, p) in phases.iter().enumerate() {
        lane(&mut s, p, &scale, lanes_top + i as f64 * 22.0);
    }
    s.push_str("</svg>");
    s
}

fn describe(v: &Verdict) -> String {
    let rto = v
        .times
        .verified_rto_ns
        .map_or("was never verified".into(), |n| format!("was verified {} after the fault", human_duration(Duration::from_nanos(n))));
    format!(
        "Timeline: acknowledged and failed writes per 100 milliseconds around the fault; the recovery {rto}. The phases are listed in the table below."
    )
}

fn bars(s: &mut String, record: &Record, scale: &Scale, top: f64, height: f64) {
    let loads: Vec<(Stamp, u32, u32)> = record
        .events
        .iter()
        .filter(|e| e.t.0 >= scale.from && e.t.0 <= scale.to)
        .filter_map(|e| match e.event {
            Event::Load { ok, bad } => Some((e.t, ok, bad)),
            _ => None,
        })
        .collect();
    let most = loads.iter().map(|(_, ok, bad)| (*ok).max(*bad)).max().unwrap_or(0).max(1);
    let full = f64::from(most);
    for (t, ok, bad) in loads {
        let (x1, x2) = (scale.x(t - Duration::from_millis(100)), scale.x(t));
        let width = (x2 - x1 - 0.6).max(0.6);
        let mut bar = |value: u32, class: &str| {
            if value > 0 {
                let h = (f64::from(value) / full * (height - 6.0)).max(1.5);
                let _ = write!(s, r#"<rect class="{class}" x="{x1:.1}" y="{:.1}" width="{width:.1}" height="{h:.1}"/>"#, top + height - h);
            }
        };
        bar(ok, "ok");
        bar(bad, "bad");
    }
    let _ = write!(s, r#"<text class="small" x="{:.0}" y="{:.0}" text-anchor="end">{}/s</text>"#, LEFT - 6.0, top + 10.0, u64::from(most) * 10);
    let _ = write!(s, r#"<text class="small" x="{:.0}" y="{:.0}" text-anchor="end">0</text>"#, LEFT - 6.0, top + height);
}

fn axis(s: &mut String, v: &Verdict, scale: &Scale, y: f64) {
    let _ = write!(s, r#"<line class="axis" x1="{LEFT}" x2="{:.1}" y1="{y}" y2="{y}"/>"#, WIDTH - RIGHT);
    let Some(fault) = v.times.fault else { return };
    let span = (scale.to - scale.from) as f64 / 1e9;
    let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0].into_iter().find(|s| span / s <= 12.0);
    let step = step.unwrap_or_else(|| (span / 12.0 / 3600.0).ceil() * 3600.0);
    let first = ((scale.from as f64 - fault.0 as f64) / 1e9 / step).ceil() as i64;
    let last = ((scale.to as f64 - fault.0 as f64) / 1e9 / step).floor() as i64;
    for i in first..=last {
        let seconds = i as f64 * step;
        let x = scale.x(Stamp((fault.0 as f64 + seconds * 1e9).max(0.0) as u64));
        let label = if step < 1.0 { format!("{seconds:+.1} s") } else { format!("{seconds:+.0} s") };
        let label = if i == 0 { "0".to_string() } else { label };
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
        let y = top - 26.0 + row as f64 * 12.0;
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

/// The last transactions before and the first after the cut, in commit order, as they were found: an empty text where the
/// commit order is not known.
pub fn cut_svg(record: &Record) -> String {
    const EACH_SIDE: usize = 60;
    let (Some(book), Some(seen), Some(lines), Some(target)) = (&record.book, &record.recovered, &record.wal, record.target()) else {
        return String::new();
    };
    let order = CommitOrder::new(lines);
    let Ok(cut) = order.cut(target) else { return String::new() };
    let origin = record.instances(crate::model::event::Role::Origin).first().copied().unwrap_or_default();
    let mut all: Vec<(u64, bool, OpOutcome, String)> = book
        .all()
        .filter(|(_, client, ..)| client.instance == origin)
        .filter_map(|(c, _, n, e)| Some((order.commit_of(e.xid?)?.0, seen.present(c, n), e.outcome, format!("{c}.{n}"))))
        .collect();
    all.sort_by_key(|a| a.0);
    let at = all.partition_point(|a| a.0 < cut.0);
    let (from, to) = (at.saturating_sub(EACH_SIDE), (at + EACH_SIDE).min(all.len()));
    if from == to {
        return String::new();
    }
    let step = (WIDTH - 40.0) / (EACH_SIDE * 2) as f64;
    let x_of = |i: usize| 20.0 + (i + EACH_SIDE - at) as f64 * step;
    let title =
        format!("The cut: {} transactions before it are shown, {} after it; each mark is one transaction in commit order.", at - from, to - at);
    let mut s = format!(r#"<svg viewBox="0 0 {WIDTH} 74" role="img" aria-label="{0}" class="timeline"><title>{0}</title>"#, escape(&title));
    for (i, (_, present, outcome, id)) in all.iter().enumerate().take(to).skip(from) {
        let class = match (present, outcome, i < at) {
            (_, OpOutcome::Unknown, _) => "doubt",
            (true, _, true) => "ok",
            (false, _, false) => "gone",
            // Present after the cut, or absent before it: what must not be.
            _ => "bad",
        };
        let state = if *present { "kept" } else { "given up" };
        let _ =
            write!(s, r#"<rect class="{class}" x="{:.1}" y="26" width="{:.1}" height="24"><title>{id}: {state}</title></rect>"#, x_of(i), step - 1.5);
    }
    let x = x_of(at) - 0.75;
    let _ = write!(
        s,
        r#"<line class="fault" x1="{x:.1}" x2="{x:.1}" y1="16" y2="58"/><text class="label" x="{x:.1}" y="12" text-anchor="middle">cut: {} {}</text>"#,
        target.kind.word(),
        escape(&target.value)
    );
    let _ = write!(
        s,
        r#"<text class="small" x="20" y="68">kept</text><text class="small" x="{:.0}" y="68" text-anchor="end">given up</text></svg>"#,
        WIDTH - 20.0
    );
    s
}
