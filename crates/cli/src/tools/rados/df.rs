//! `rados df`.

use ::rados::{Reply, Request};
use types::PoolStat;
use types::dump::Dump;
use types::errno::ENOENT;

use super::{Failure, Options, Outcome, failed};

/// One pool as librados counts it.
struct Row {
    name: String,
    id: i64,
    stat: PoolStat,
    bytes: u64,
}

pub(super) fn df(o: &Options) -> Outcome {
    let mut session = o.connect.open()?;
    let map = session.latest_map()?;
    let names = asked(map.pool_names.values(), o.pool.as_deref())?;
    let stats = match session.call(Request::PoolStats(names.clone()))? {
        Reply::PoolStats(stats) => stats,
        Reply::Failed(errno) => return Err(failed("error fetching pool stats", errno)),
        _ => return Err(Failure("the client answered something else".to_owned(), 1)),
    };
    let total = match session.call(Request::Statfs { pool: None })? {
        Reply::Statfs(total) => total,
        Reply::Failed(errno) => return Err(failed("error getting total cluster usage", errno)),
        _ => return Err(Failure("the client answered something else".to_owned(), 1)),
    };
    let row = |(name, stat): (&String, &PoolStat)| {
        let own = stat.store_stats.allocated + stat.store_stats.omap_allocated;
        let bytes = if stats.per_pool { own } else { stat.stats.sum.num_bytes };
        Row { name: name.clone(), id: map.pool_id(name).unwrap_or(-1), stat: stat.clone(), bytes: bytes.max(0) as u64 }
    };
    let rows: Vec<Row> = stats.pool_stats.iter().map(row).collect();
    match o.format {
        Some(format) => {
            let dump = Dump::obj()
                .with("pools", Dump::arr("pool", rows.iter().map(dump_row)))
                .with("total_objects", total.num_objects)
                .with("total_used", total.kb_used)
                .with("total_avail", total.kb_avail)
                .with("total_space", total.kb);
            out!("{}", dump.render(format, "stats"));
        }
        None => {
            out!("{}", table(&rows));
            outln!("\ntotal_objects    {}", total.num_objects);
            outln!("total_used       {}", bytes_text(total.kb_used << 10));
            outln!("total_avail      {}", bytes_text(total.kb_avail << 10));
            outln!("total_space      {}", bytes_text(total.kb << 10));
        }
    }
    Ok(())
}

/// The pools to tell of: one that is there, or all.
fn asked<'a>(all: impl Iterator<Item = &'a String>, only: Option<&str>) -> Result<Vec<String>, Failure> {
    let names: Vec<String> = all.filter(|name| only.is_none_or(|only| only == *name)).cloned().collect();
    match only {
        Some(name) if names.is_empty() => Err(failed(format!("error opening pool {name}"), ENOENT)),
        _ => Ok(names),
    }
}

fn dump_row(r: &Row) -> Dump {
    let s = &r.stat.stats.sum;
    Dump::obj()
        .with("name", r.name.clone())
        .with("id", r.id)
        .with("size_bytes", r.bytes)
        .with("size_kb", r.bytes.div_ceil(1024))
        .with("num_objects", s.num_objects)
        .with("num_object_clones", s.num_object_clones)
        .with("num_object_copies", s.num_object_copies)
        .with("num_objects_missing_on_primary", s.num_objects_missing_on_primary)
        .with("num_objects_unfound", s.num_objects_unfound)
        .with("num_objects_degraded", s.num_objects_degraded)
        .with("read_ops", s.num_rd)
        .with("read_bytes", s.num_rd_kb << 10)
        .with("write_ops", s.num_wr)
        .with("write_bytes", s.num_wr_kb << 10)
        .with("compress_bytes_used", r.stat.store_stats.data_compressed_allocated)
        .with("compress_under_bytes", r.stat.store_stats.data_compressed_original)
}

fn table(rows: &[Row]) -> String {
    let heads = "POOL_NAME,USED,OBJECTS,CLONES,COPIES,MISSING_ON_PRIMARY,UNFOUND,DEGRADED,RD_OPS,RD,WR_OPS,WR,USED COMPR,UNDER COMPR";
    let mut lines: Vec<Vec<String>> = vec![heads.split(',').map(str::to_owned).collect()];
    for r in rows {
        let s = &r.stat.stats.sum;
        let of = |v: i64| bytes_text(v.max(0) as u64);
        lines.push(vec![
            r.name.clone(),
            bytes_text(r.bytes),
            s.num_objects.to_string(),
            s.num_object_clones.to_string(),
            s.num_object_copies.to_string(),
            s.num_objects_missing_on_primary.to_string(),
            s.num_objects_unfound.to_string(),
            s.num_objects_degraded.to_string(),
            s.num_rd.to_string(),
            of(s.num_rd_kb << 10),
            s.num_wr.to_string(),
            of(s.num_wr_kb << 10),
            of(r.stat.store_stats.data_compressed_allocated),
            of(r.stat.store_stats.data_compressed_original),
        ]);
    }
    let widths: Vec<usize> = (0..lines[0].len()).map(|i| lines.iter().map(|l| l[i].len()).max().unwrap_or(0)).collect();
    let line = |cells: &Vec<String>| {
        let cell = |(i, text): (usize, &String)| match i {
            0 => format!("{text:<0$}", widths[0]),
            _ => format!("{text:>0$}", widths[i]),
        };
        cells.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ") + "\n"
    };
    lines.iter().map(line).collect()
}

/// A size as Ceph prints it: `84 KiB`, `3.1 MiB` (Ceph: `byte_u_t`).
fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut n = bytes;
    while n >= 1024 && unit < UNITS.len() - 1 {
        n /= 1024;
        unit += 1;
    }
    let exact = bytes as f64 / (1u64 << (10 * unit)) as f64;
    if unit == 0 || bytes.is_multiple_of(1 << (10 * unit)) {
        format!("{n} {}", UNITS[unit])
    } else {
        let digits = if n < 10 { 1 } else { 0 };
        format!("{exact:.digits$} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_is_not_there_is_an_error_and_not_an_empty_list() {
        let all = ["a".to_owned(), "b".to_owned()];
        assert_eq!(asked(all.iter(), None).unwrap(), all);
        assert_eq!(asked(all.iter(), Some("b")).unwrap(), ["b"]);
        let Failure(text, code) = asked(all.iter(), Some("nosuch")).unwrap_err();
        assert_eq!((text.as_str(), code), ("error opening pool nosuch: (2) No such file or directory", 1));
    }

    #[test]
    fn sizes_are_written_as_ceph_writes_them() {
        let cases =
            [(0, "0 B"), (12_288, "12 KiB"), (3_244_032, "3.1 MiB"), (1_105_920, "1.1 MiB"), (345_088, "337 KiB")];
        for (bytes, text) in cases {
            assert_eq!(bytes_text(bytes), text);
        }
    }

    #[test]
    fn the_table_is_that_of_rados_df() {
        let row = Row { name: "plain".into(), id: 2, stat: PoolStat::default(), bytes: 86_016 };
        let mut lines = table(&[row]);
        lines.truncate(lines.find('\n').unwrap_or(0));
        assert!(
            lines.starts_with("POOL_NAME    USED  OBJECTS  CLONES  COPIES  MISSING_ON_PRIMARY  UNFOUND"),
            "{lines}"
        );
    }
}
