//! `iostat`: what clients read and write, a line at each question. `ceph` asks again and again, and says when it wants
//! the columns named (Ceph: the manager's module of this name).

use crate::stats::PgMap;
use crate::summary::Rates;

const COLUMNS: [&str; 6] = ["Read", "Write", "Total", "Read IOPS", "Write IOPS", "Total IOPS"];

/// Bytes with a unit as soon as there are more than ten of it.
fn iec(n: u64) -> String {
    let units = [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    match units.into_iter().find(|(bits, _)| u128::from(n) > 10 << bits) {
        Some((bits, unit)) => format!("{} {unit}B/s", n >> bits),
        None => format!("{n} B/s"),
    }
}

/// One line for so wide a terminal.
pub fn lines(pgs: &PgMap, width: usize, with_header: bool) -> String {
    let r = Rates::new(pgs.delta(None).as_ref()).unwrap_or_default();
    let bytes = [r.read_bytes, r.write_bytes, r.read_bytes.saturating_add(r.write_bytes)].map(iec);
    let ops = [r.read_ops, r.write_ops, r.read_ops.saturating_add(r.write_ops)].map(|n| n.to_string());
    let column = width / COLUMNS.len();
    let row = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>0$} |", column - 2)).collect();
        format!("|{}", cells.concat())
    };
    let values = row(&[bytes, ops].concat()) + "\n";
    if !with_header {
        return values;
    }
    let dashes = format!("+{}", format!("{}+", "-".repeat(column - 1)).repeat(COLUMNS.len()));
    format!("{dashes}\n{}\n{dashes}\n{values}", row(&COLUMNS.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_cluster_is_shown_as_ceph_shows_it() {
        // Recorded from 16.2.15.
        let recorded = "\
+------------+------------+------------+------------+------------+------------+
|       Read |      Write |      Total |  Read IOPS | Write IOPS | Total IOPS |
+------------+------------+------------+------------+------------+------------+
|      0 B/s |      0 B/s |      0 B/s |          0 |          0 |          0 |
";
        assert_eq!(lines(&PgMap::default(), 80, true), recorded);
        assert_eq!(lines(&PgMap::default(), 80, false), recorded.lines().last().unwrap().to_owned() + "\n");
    }

    #[test]
    fn a_unit_begins_above_ten_of_it() {
        assert_eq!([iec(10_240), iec(10_241), iec(11 << 20)], ["10240 B/s", "10 KiB/s", "11 MiB/s"]);
    }
}
