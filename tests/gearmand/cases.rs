//! The table of what answers mean, made by running nodepool v0, and any other table named by DEMAND_CASES.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nodepool::target::gearman::status::{Status, demand};
use serde_json::Value;

#[test]
fn the_answers_mean_what_they_meant_to_nodepool_v0() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gearman-demand-cases.json");
    let tables = [Some(own), std::env::var_os("DEMAND_CASES").map(PathBuf::from)];
    for table in tables.into_iter().flatten() {
        let text = std::fs::read_to_string(&table).unwrap_or_else(|e| panic!("{}: {e}", table.display()));
        let table: Value = serde_json::from_str(&text).unwrap();
        let cases = table["cases"].as_array().expect("a list of cases");
        assert!(!cases.is_empty());
        for case in cases {
            check(case);
        }
    }
}

fn check(case: &Value) {
    let answers = match &case["status"] {
        Value::Array(several) => several.clone(),
        one => vec![one.clone()],
    };
    let statuses: Vec<Status> =
        answers.iter().map(|answer| Status::parse(answer.as_str().expect("an answer").as_bytes())).collect();
    // Where nodepool v0 lost the whole answer, only the line is lost; the tables say what is left, if anything.
    let expected: BTreeMap<String, u32> = match case.get("demand") {
        Some(demand) => serde_json::from_value(demand.clone()).expect("numbers by label"),
        None => BTreeMap::new(),
    };
    assert_eq!(demand(&statuses).jobs, expected, "case {}", case["name"]);
}

fn jobs(answer: &[u8]) -> BTreeMap<String, u32> {
    demand([&Status::parse(answer)]).jobs
}

fn some(jobs: &[(&str, u32)]) -> BTreeMap<String, u32> {
    jobs.iter().map(|(label, count)| ((*label).to_owned(), *count)).collect()
}

#[test]
fn a_line_that_cannot_be_read_is_lost_alone() {
    let answer =
        b"build:j1:lab\nbuild:j2:lab\t2\t0\t1\n\nrubbish\nbuild:j3:lab\t\t0\t1\nbuild:j4:lab\t1\n.\n";
    let status = Status::parse(answer);
    assert_eq!(demand([&status]).jobs, some(&[("lab", 3)]));
    assert_eq!(status.unreadable(), 2);
    assert!(!status.is_nonsense());
}

#[test]
fn totals_that_are_no_count_are_nothing() {
    assert_eq!(
        jobs(b"build:j:lab\t-3\t0\t1\nbuild:j:lab\t1.5\t0\t1\nbuild:j:lab\t\xff\t0\t1\n.\n"),
        some(&[])
    );
}

#[test]
fn totals_beyond_all_bounds_stay_within_them() {
    let answer = b"build:a:lab\t99999999999999999999\t0\t1\nbuild:b:lab\t7\t0\t1\n.\n";
    assert_eq!(jobs(answer), some(&[("lab", u32::MAX)]));
}

#[test]
fn a_label_that_cannot_run_now_still_gets_the_jobs_without_a_label() {
    let answer = b"build:j:lab\tnone\t0\t1\nbuild:j\t2\t0\t1\n.\n";
    assert_eq!(jobs(answer), some(&[("lab", 2)]));
}

#[test]
fn names_in_other_alphabets_are_counted() {
    let answer = "build:Größe prüfen:lab\t1\t0\t1\r\nbuild:j:ラベル\t2\t0\t1\r\n.\r\n";
    assert_eq!(jobs(answer.as_bytes()), some(&[("lab", 1), ("ラベル", 2)]));
    // A job's name may be in any encoding; its label is read all the same.
    assert_eq!(jobs(b"build:Gr\xf6\xdfe:lab\t1\t0\t1\n.\n"), some(&[("lab", 1)]));
}

#[test]
fn empty_labels_and_empty_answers_ask_for_nothing() {
    assert_eq!(jobs(b"build:j:\t4\t0\t1\nbuild:\t4\t0\t1\nbuild\t4\t0\t1\n.\n"), some(&[]));
    assert_eq!(jobs(b""), some(&[]));
    assert!(!Status::parse(b".\n").is_nonsense());
    assert!(Status::parse(b"HTTP/1.1 400 Bad Request\n.\n").is_nonsense());
}
