//! Bucket bounds as text.

/// The text of `bound` after `le=`, as prometheus_client's `floatToGoString` prints it: the shortest digits that read
/// back as the same number, with an exponent below 1e-4 and from 1e6 on, and `.0` after whole numbers.
pub(crate) fn bound_text(bound: f64) -> String {
    if bound.is_nan() {
        return "NaN".into();
    }
    if bound.is_infinite() {
        return if bound > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let scientific = format!("{bound:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Python turns to exponents at 1e16, Go at 1e21; prometheus_client corrects positive numbers from 1e6 on.
    let is_large = exponent >= 16 || (bound > 0.0 && exponent >= 6);
    if bound != 0.0 && (exponent < -4 || is_large) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    // `Debug` keeps the `.0` of whole numbers.
    format!("{bound:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_print_as_prometheus_client_prints_them() {
        // Printed by floatToGoString of prometheus_client 0.25 (1e10: as corrected after that release).
        let table = [
            (0.0, "0.0"),
            (0.005, "0.005"),
            (0.1, "0.1"),
            (1.0, "1.0"),
            (2.5, "2.5"),
            (10.0, "10.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.000015, "1.5e-05"),
            (100000.0, "100000.0"),
            (999999.5, "999999.5"),
            (1e6, "1e+06"),
            (1_500_000.0, "1.5e+06"),
            (1_234_567.25, "1.23456725e+06"),
            (1e10, "1e+10"),
            (1e16, "1e+16"),
            (1e100, "1e+100"),
            (-1.0, "-1.0"),
            (-2_000_000.0, "-2000000.0"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (bound, text) in table {
            assert_eq!(bound_text(bound), text);
        }
    }

    #[test]
    fn every_text_reads_back_as_its_bound() {
        let mut bits = 0x1234_5678_9abc_def1_u64;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let bound = f64::from_bits(bits);
            if bound.is_finite() {
                assert_eq!(bound_text(bound).parse(), Ok(bound));
            }
        }
    }
}
