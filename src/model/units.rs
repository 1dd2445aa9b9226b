//! Durations, sizes and rates as people write them.

use std::time::Duration;

/// Reads `500ms`, `30s`, `15m`, `1h30m`, `7d`, `2w`; a bare `0` is zero.
///
/// Months and years have no fixed length and are not durations; cadences have them.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total: u128 = 0;
    let mut rest = text;
    let mut last = u128::MAX;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let unit_len = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let unit: u128 = match &after[..unit_len] {
            "ns" => 1,
            // The micro sign, and the Greek letter that looks like it.
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        // Units descend, so that "5s1h" is a mistake and not an hour.
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(scaled(number, unit)?)?;
        rest = &after[unit_len..];
    }
    if text.is_empty() {
        return None;
    }
    Some(Duration::from_nanos(u64::try_from(total).ok()?))
}

/// Reads `512B`, `16MiB`, `200MB`, `2GiB`; a bare `0` is zero.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    let (number, unit) = leading_number(text)?;
    let unit: u128 = match unit.trim() {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    u64::try_from(scaled(number, unit)?).ok()
}

/// Reads `200/s`, `30/m`, `10/h` as events per second.
pub fn parse_rate(text: &str) -> Option<f64> {
    let (number, unit) = text.trim().split_once('/')?;
    let number: f64 = number.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
    let per = match unit.trim() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    Some(number / per)
}

/// Reads `99.99%` or `0.9999` as a share of one.
pub fn parse_ratio(text: &str) -> Option<f64> {
    let text = text.trim();
    let value = match text.strip_suffix('%') {
        // Shifted as text: 99.99 / 100.0 is not 0.9999.
        Some(percent) => percent.trim().parse::<f64>().ok().and_then(|p| format!("{p}e-2").parse().ok())?,
        None => text.parse::<f64>().ok()?,
    };
    (value.is_finite() && (0.0..=1.0).contains(&value)).then_some(value)
}

/// A share as a number of percent, the shortest that is read as the same share.
pub fn percent(share: f64) -> f64 {
    // Shifted as text, too: 0.07 * 100.0 is not 7.
    format!("{share}e2").parse().unwrap_or(share * 100.0)
}

fn leading_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (end > 0 && end < text.len()).then(|| text.split_at(end))
}

/// A decimal number times a unit, exactly: digits beyond the unit's resolution are refused.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || whole.len() > 20 || fraction.len() > 9 {
        return None;
    }
    let mut value = whole.parse::<u128>().ok()?.checked_mul(unit)?;
    if !fraction.is_empty() {
        let scale = 10u128.pow(fraction.len() as u32);
        let scaled = fraction.parse::<u128>().ok()?.checked_mul(unit)?;
        value = value.checked_add(scaled.is_multiple_of(scale).then_some(scaled / scale)?)?;
    }
    Some(value)
}

/// A duration for people: three significant digits, the unit that fits.
pub fn human_duration(d: Duration) -> String {
    let s = d.as_secs_f64();
    if d.is_zero() {
        "0 s".into()
    } else if s < 0.001 {
        format!("{:.0} µs", s * 1e6)
    } else if s < 1.0 {
        format!("{:.0} ms", s * 1e3)
    } else if s < 10.0 {
        format!("{s:.2} s")
    } else if s < 120.0 {
        format!("{s:.1} s")
    } else if s < 7200.0 {
        format!("{:.1} min", s / 60.0)
    } else if s < 172_800.0 {
        format!("{:.1} h", s / 3600.0)
    } else {
        format!("{:.1} d", s / 86400.0)
    }
}

/// A duration as it is written in files: `1h30m`, `500ms`.
pub fn written_duration(d: Duration) -> String {
    let mut ns = d.as_nanos();
    if ns == 0 {
        return "0s".into();
    }
    let mut out = String::new();
    for (unit, size) in [
        ("d", 86_400_000_000_000u128),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ] {
        if ns >= size {
            out.push_str(&format!("{}{unit}", ns / size));
            ns %= size;
        }
    }
    out
}

/// A size for people, in binary units.
pub fn human_size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// A size as it is written in files: the largest binary unit that divides it.
pub fn written_size(bytes: u64) -> String {
    for (unit, size) in [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    if bytes == 0 { "0".into() } else { format!("{bytes}B") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_trip_and_nonsense_is_refused() {
        for (text, secs) in [("15m", 900.0), ("1h30m", 5400.0), ("90d", 7_776_000.0), ("500ms", 0.5), ("1.5s", 1.5), ("0", 0.0), ("0s", 0.0)] {
            let d = parse_duration(text).unwrap();
            assert_eq!(d.as_secs_f64(), secs, "{text}");
            assert_eq!(parse_duration(&written_duration(d)), Some(d), "{text}");
        }
        for text in ["", "15", "m", "15 minutes", "5s1h", "1h1h", "-5s", "1e3s", "999999999999999999999d", "1.s", ".5s"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_and_rates() {
        assert_eq!(parse_size("200MiB"), Some(200 << 20));
        assert_eq!(parse_size("1.5GiB"), Some(3 << 29));
        assert_eq!(parse_size("16MB"), Some(16_000_000));
        for text in ["", "200", "MiB", "-1MiB", "99999999TiB", "1 m"] {
            assert_eq!(parse_size(text), None, "{text:?}");
        }
        assert_eq!(written_size(200 << 20), "200MiB");
        assert_eq!(parse_rate("200/s"), Some(200.0));
        assert_eq!(parse_rate("30/m"), Some(0.5));
        assert_eq!(parse_rate("200"), None);
        assert_eq!(parse_ratio("99.99%"), Some(0.9999));
        assert_eq!(parse_ratio("150%"), None);
    }

    #[test]
    fn people_read_three_digits() {
        assert_eq!(human_duration(Duration::from_micros(1234)), "1 ms");
        assert_eq!(human_duration(Duration::from_millis(1234)), "1.23 s");
        assert_eq!(human_duration(Duration::from_secs(900)), "15.0 min");
        assert_eq!(human_size(200 << 20), "200.0 MiB");
    }
}
