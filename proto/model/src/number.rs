//! Numbers as the text formats print them, and the choice between two gauge values.

use std::fmt::Write;

/// Appends `value` as prometheus_client's `floatToGoString` prints it: `1.0`, `0.1`, `1e-05`, `1e+06`, `1.5e+16`,
/// `+Inf`, `NaN`. Shortest digits that read back to the same value.
///
/// Exponents have at least two digits and one sign, also from 10 up (prometheus_client before 0.26 printed `1e+010`).
pub fn write_float(value: f64, text: &mut String) {
    if value.is_nan() {
        text.push_str("NaN");
    } else if value.is_infinite() {
        text.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value.fract() == 0.0 && value.abs() < 1e6 {
        // Counts are the common case; -0.0 keeps its sign.
        let sign = if value.is_sign_negative() { "-" } else { "" };
        let _ = write!(text, "{sign}{}.0", value.abs() as u32);
    } else {
        write_fraction(value, text);
    }
}

/// [`write_float`] into a new string.
pub fn format_float(value: f64) -> String {
    let mut text = String::new();
    write_float(value, &mut text);
    text
}

fn write_fraction(value: f64, text: &mut String) {
    let (digits, exponent) = shortest(value.abs());
    let sign = if value < 0.0 { "-" } else { "" };
    // Python's repr uses exponents below 1e-4 and from 1e16; Go, whose form the format follows, from 1e6 for positives.
    let is_plain = (-4..6).contains(&exponent) || (value < 0.0 && (-4..16).contains(&exponent));
    if is_plain {
        let point = exponent + 1;
        let leading = usize::try_from(-point).unwrap_or(0);
        let whole = usize::try_from(point).unwrap_or(0);
        let padded = format!("{digits:0<whole$}");
        let (whole, fraction) = padded.split_at(whole);
        let _ = write!(text, "{sign}{}.{:0<leading$}{}", or_zero(whole), "", or_zero(fraction));
    } else {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(text, "{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.unsigned_abs());
    }
}

fn or_zero(digits: &str) -> &str {
    if digits.is_empty() { "0" } else { digits }
}

/// The fewest digits that read back to a positive number, and the exponent of the first; of two that are equally near to
/// it the even ones, as Python and Go have it and Rust's own formatting has not.
fn shortest(value: f64) -> (String, i32) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    // At most 324 zeros.
    let zeros = (digits.len() - significant.len()) as i32;
    (significant.trim_end_matches('0').to_owned(), whole.len() as i32 - 1 - zeros + exponent)
}

/// The smaller of two gauge values. NaN only if both are NaN; −0 is below 0. The order of the arguments does not matter.
pub fn lesser(one: f64, two: f64) -> f64 {
    match (one.is_nan(), two.is_nan()) {
        (true, _) => two,
        (_, true) => one,
        _ if two.total_cmp(&one).is_lt() => two,
        _ => one,
    }
}

/// The larger of two gauge values. NaN only if both are NaN; 0 is above −0. The order of the arguments does not matter.
pub fn greater(one: f64, two: f64) -> f64 {
    match (one.is_nan(), two.is_nan()) {
        (true, _) => two,
        (_, true) => one,
        _ if two.total_cmp(&one).is_gt() => two,
        _ => one,
    }
}

/// The newer of two stamped values (value, Unix seconds); of equally old ones the larger, so that the order of the
/// arguments does not matter.
pub fn newer(one: (f64, f64), two: (f64, f64)) -> (f64, f64) {
    match two.1.total_cmp(&one.1).then(two.0.total_cmp(&one.0)) {
        std::cmp::Ordering::Greater => two,
        _ => one,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Expected texts were printed by prometheus_client's `floatToGoString`.
    #[test]
    fn floats_print_as_prometheus_client_prints_them() {
        let table = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-3.0, "-3.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (999999.0, "999999.0"),
            (1e6, "1e+06"),
            (1234567.0, "1.234567e+06"),
            (1234567.25, "1.23456725e+06"),
            (1e10, "1e+10"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (-1234567.5, "-1234567.5"),
            (-1e10, "-10000000000.0"),
            (-1e16, "-1e+16"),
            (123.456, "123.456"),
            (-70_368_744_177_664.12, "-70368744177664.12"),
            (70_368_744_177_664.12, "7.036874417766412e+13"),
            (-0.00012, "-0.00012"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in table {
            assert_eq!(format_float(value), text);
        }
    }

    proptest! {
        #[test]
        fn every_float_reads_back_to_the_same_bits(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(format_float(value).parse::<f64>().map(f64::to_bits), Ok(bits));
        }

        #[test]
        fn choices_do_not_depend_on_order(one in any::<f64>(), two in any::<f64>(), stamps in any::<(f64, f64)>()) {
            prop_assert_eq!(lesser(one, two).to_bits(), lesser(two, one).to_bits());
            prop_assert_eq!(greater(one, two).to_bits(), greater(two, one).to_bits());
            let (a, b) = (newer((one, stamps.0), (two, stamps.1)), newer((two, stamps.1), (one, stamps.0)));
            prop_assert_eq!((a.0.to_bits(), a.1.to_bits()), (b.0.to_bits(), b.1.to_bits()));
        }
    }
}
