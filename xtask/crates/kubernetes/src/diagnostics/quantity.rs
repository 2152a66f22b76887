//! Amounts of processors and memory as Kubernetes writes them
//! (kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity).

/// Memory in bytes: `64Mi`, `1G`, `128974848`, `1e9`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    scaled(text).map(|amount| amount as u64)
}

/// Processors in thousandths: `500m`, `2`, `0.5`.
pub(crate) fn millis(text: &str) -> Option<u64> {
    scaled(text).map(|amount| (amount * 1000.0).round() as u64)
}

fn scaled(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.find(|c: char| c.is_ascii_alphabetic() && c != 'e').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok().filter(|number| *number >= 0.0)?;
    Some(number * factor)
}

/// Memory as people write it: `64Mi`, `7.6Gi`.
pub(crate) fn written(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["", "Ki", "Mi", "Gi", "Ti"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while amount >= 1024.0 {
        let Some(next) = units.next() else { break };
        (amount, unit) = (amount / 1024.0, next);
    }
    let rounded = (amount * 10.0).floor() / 10.0;
    format!("{rounded}{unit}")
}

/// Processors likewise: `500m`, `2`.
pub(crate) fn written_cpu(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_writes_them() {
        assert_eq!(bytes("64Mi"), Some(64 << 20));
        assert_eq!(bytes("7936220Ki"), Some(7_936_220 << 10));
        assert_eq!((bytes("1G"), bytes("1e3"), bytes("12")), (Some(1_000_000_000), Some(1000), Some(12)));
        assert_eq!((millis("500m"), millis("2"), millis("0.25")), (Some(500), Some(2000), Some(250)));
        assert_eq!((bytes("x"), bytes(""), bytes("5Xi"), millis("-1")), (None, None, None, None));
    }

    #[test]
    fn amounts_are_written_for_people() {
        assert_eq!((written(64 << 30), written(7_936_220 << 10)), ("64Gi".to_owned(), "7.5Gi".to_owned()));
        assert_eq!((written(0), written(100)), ("0".to_owned(), "100".to_owned()));
        assert_eq!((written_cpu(2000), written_cpu(1500)), ("2".to_owned(), "1500m".to_owned()));
    }
}
