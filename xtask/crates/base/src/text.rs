//! Words for people.

/// "1 service", "3 services"
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// "512 bytes", "12.3 KB"
pub fn bytes(number: u64) -> String {
    let units = ["bytes", "KB", "MB", "GB", "TB"];
    let (mut unit, mut whole, mut tenths) = (0, number, 0);
    while whole >= 1000 && unit + 1 < units.len() {
        (whole, tenths, unit) = (whole / 1000, whole % 1000 / 100, unit + 1);
    }
    if unit == 0 { format!("{whole} {}", units[0]) } else { format!("{whole}.{tenths} {}", units[unit]) }
}
