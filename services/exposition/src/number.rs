//! Numbers at the speed of a scrape, in the form that [`metrifold_model::write_float`] defines.

use metrifold_model::write_float;

/// Below this, every whole `f64` is exact, and its shortest digits are its own.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// From here up positive numbers are printed with an exponent.
const EXPONENT_FROM: f64 = 1e6;
/// From here up the shortest digits are printed without an exponent, down from [`EXACT_MAX`].
const PLAIN_FROM: f64 = 1e-4;

/// Appends `value` as [`write_float`] does.
pub(crate) fn append_float(value: f64, out: &mut Vec<u8>) {
    let is_whole = value.fract() == 0.0;
    // The comparisons are false for NaN, −0 must keep its sign, and negative numbers have a form of their own.
    if value == 0.0 && value.is_sign_positive() {
        out.extend_from_slice(b"0.0");
    } else if is_whole && (1.0..EXACT_MAX).contains(&value) {
        append_whole(value as u64, out);
    } else if (PLAIN_FROM..EXPONENT_FROM).contains(&value) {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if (EXPONENT_FROM..EXACT_MAX).contains(&value) {
        append_with_exponent(zmij::Buffer::new().format_finite(value), out);
    } else {
        let mut text = String::new();
        write_float(value, &mut text);
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends `value` as [`append_float`] does, but a whole one without its point.
pub(crate) fn append_count(value: f64, out: &mut Vec<u8>) {
    if value.fract() == 0.0 && (0.0..EXACT_MAX).contains(&value) {
        out.extend_from_slice(itoa::Buffer::new().format(value as u64).as_bytes());
    } else {
        append_float(value, out);
    }
}

/// Appends Unix seconds, without an exponent, which would hide the time of the day.
pub(crate) fn append_timestamp(seconds: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(zmij::Buffer::new().format_finite(seconds).as_bytes());
}

fn append_whole(value: u64, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(value);
    match value < EXPONENT_FROM as u64 {
        true => {
            out.extend_from_slice(digits.as_bytes());
            out.extend_from_slice(b".0");
        }
        false => append_with_exponent(digits, out),
    }
}

/// Turns `1234567.25` into `1.23456725e+06`.
fn append_with_exponent(plain: &str, out: &mut Vec<u8>) {
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let (first, rest) = whole.split_at(1);
    out.extend_from_slice(first.as_bytes());
    out.push(b'.');
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(fraction.as_bytes());
    while out.last() == Some(&b'0') {
        out.pop();
    }
    if out.last() == Some(&b'.') {
        out.pop();
    }
    let exponent = rest.len();
    out.extend_from_slice(if exponent < 10 { b"e+0" } else { b"e+" });
    out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
}

#[cfg(test)]
mod tests {
    use metrifold_model::format_float;
    use proptest::prelude::*;

    use super::*;

    fn appended(value: f64) -> String {
        let mut out = Vec::new();
        append_float(value, &mut out);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn the_edges_of_every_form_are_as_defined() {
        let edges =
            [0.0, 1e-5, 1e-4, 0.1, 1.0, 10.0, 999_999.0, 1e6, 1_234_567.0, 1e15, EXACT_MAX, 1e16, 1e300];
        for edge in edges {
            for value in [edge, f64::next_up(edge), f64::next_down(edge)] {
                assert_eq!(appended(value), format_float(value));
                assert_eq!(appended(-value), format_float(-value));
            }
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX] {
            assert_eq!(appended(value), format_float(value));
        }
    }

    proptest! {
        #[test]
        fn every_float_prints_as_the_model_defines(
            bits in any::<u64>(),
            whole in 0u64..1 << 60,
            thousandths in 0u64..1 << 50,
        ) {
            for value in [f64::from_bits(bits), whole as f64, -(whole as f64), thousandths as f64 / 1000.0] {
                prop_assert_eq!(appended(value), format_float(value));
            }
        }
    }
}
