//! Receipts that are rebuilt from their records, and the rows of idempotency keys.

use super::layout::{Family, idem_key, meta, wal_key};
use super::receipts::{BoundKey, ReceiptSum, StoredReceipt};
use super::testing::{Node, name, options};
use super::verify::{Flaw, scrub, verify};
use super::{FORMAT, Journal, ReadError, Retention};
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::IdemKey;
use swoosh_types::record::Record;

/// Records in batches of 1 to 5, so that paths have every length.
fn busy() -> Node {
    let mut node = Node::new();
    for size in 1..6 {
        node.commit(&["a", "b", "a", "c", "b"][..size]);
    }
    node
}

fn record(node: &Node, index: u64) -> Record {
    node.journal.record(index).unwrap().unwrap().record
}

/// The receipt as it was answered when the record was committed.
fn first_answer(node: &Node, index: u64) -> Vec<u8> {
    canonical_bytes(&node.journal.record(index).unwrap().unwrap().receipt())
}

fn row(record: &Record) -> Vec<u8> {
    idem_key(&record.project, &record.idem_key)
}

fn bound(node: &Node, record: &Record) -> BoundKey {
    node.journal.bound_key(&record.project, &record.idem_key).unwrap().unwrap()
}

fn asked_again(node: &Node, record: &Record) -> Result<Vec<u8>, ReadError> {
    let found = node.journal.receipt(&record.project, &record.idem_key, bound(node, record))?;
    Ok(found.expect("the key is bound"))
}

/// Binds a key to another index, or to another receipt.
fn rebind(node: &Node, record: &Record, to: BoundKey) {
    node.overwrite(Family::Idem, &row(record), &to.encode());
}

/// Stores every receipt whole, as programs before format 3 did.
fn as_format_2(node: &Node) -> Vec<(Record, Vec<u8>)> {
    let records: Vec<_> = (1..=node.last()).map(|index| (record(node, index), first_answer(node, index))).collect();
    for (record, receipt) in &records {
        let whole = BoundKey { receipt: StoredReceipt::Whole(receipt.clone()), ..bound(node, record) };
        rebind(node, record, whole);
    }
    records
}

fn is_sum(node: &Node, record: &Record) -> bool {
    matches!(bound(node, record).receipt, StoredReceipt::Sum(_))
}

fn prune(node: &Node, records: u64) -> u64 {
    let projects = node.journal.projects().unwrap();
    assert!(node.journal.sweep(&projects).unwrap().damaged.is_empty());
    let since = Hlc::new(u64::MAX >> 20, 0).unwrap();
    node.journal.prune_wal(&Retention { records, since, exported_to: None }, &|| true).unwrap().records
}

fn flaws(node: &Node) -> Vec<String> {
    verify(&node.journal, &mut |_| ()).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_row_holds_the_sum_alone_and_the_receipt_is_rebuilt_byte_for_byte() {
    let node = busy();
    for index in 1..=node.last() {
        let record = record(&node, index);
        assert_eq!(bound(&node, &record).encode().len(), 49);
        assert_eq!(asked_again(&node, &record).unwrap(), first_answer(&node, index), "record {index}");
    }
    assert_eq!(flaws(&node), [""; 0]);
    assert_eq!(scrub(&node.journal, &|| true), []);
}

/// The bytes of the first answer, or an error: a frame may be damaged where nothing but the sum tells, as in the
/// signature of its seal.
#[test]
fn whatever_byte_of_a_frame_is_changed_no_other_receipt_is_given() {
    let node = busy();
    let (record, first) = (record(&node, 8), first_answer(&node, 8));
    let length = node.journal.0.frame_bytes(8).unwrap().unwrap().len() as isize;
    let mut refused = 0;
    for at in 0..length {
        node.flip(8, at);
        match asked_again(&node, &record) {
            Ok(again) => assert_eq!(again, first, "byte {at}"),
            Err(error) => {
                refused += 1;
                assert!(error.is_damage(), "byte {at}: {error}");
            }
        }
        node.flip(8, at);
    }
    assert!(refused > first.len() / 2, "{refused}");
}

#[test]
fn a_key_that_is_bound_to_the_record_of_another_one_gives_no_receipt_and_is_found() {
    let node = busy();
    let (right, wrong) = (record(&node, 4), record(&node, 5));
    let elsewhere = BoundKey { index: 5, ..bound(&node, &right) };
    // With the whole row of another key as well: its sum is that of the receipt it names.
    for to in [elsewhere, bound(&node, &wrong)] {
        rebind(&node, &right, to);
        let error = asked_again(&node, &right).unwrap_err();
        assert!(matches!(&error, ReadError::Binding { index: 5, what, .. } if what.contains("another key")), "{error}");
        let found = verify(&node.journal, &mut |_| ()).problems;
        assert!(found.iter().any(|problem| problem.index == 4 && problem.flaw == Flaw::KeyDiffers), "{found:?}");
        assert!(
            found.iter().any(|problem| problem.to_string().contains("bound to record 5, which is of")),
            "{found:?}"
        );
        let found = scrub(&node.journal, &|| true);
        assert!(found.iter().any(|finding| finding.table == "idem" && finding.project.is_some()), "{found:?}");
    }
}

#[test]
fn a_key_of_no_record_is_found() {
    let node = busy();
    let of_one = bound(&node, &record(&node, 1));
    let none: IdemKey = "goal:9:control:uuid-99999999".parse().unwrap();
    let cases = [
        (of_one.encode(), "which is of the key"),
        (BoundKey { index: 99, ..of_one }.encode(), "the log ends at record 15"),
        (vec![7; 49], "does not decode"),
    ];
    for (bytes, what) in cases {
        node.overwrite(Family::Idem, &idem_key(&name("a"), &none), &bytes);
        let found = flaws(&node);
        assert!(found.len() == 1 && found[0].contains(what), "{found:?}");
    }
    node.overwrite(Family::Idem, b"a\0short", b"");
    assert!(flaws(&node).iter().any(|flaw| flaw.contains("is none of its")));
}

#[test]
fn receipts_of_pruned_records_are_kept_whole_while_their_keys_are_bound() {
    let node = busy();
    let given: Vec<_> = (1..=node.last()).map(|index| (record(&node, index), first_answer(&node, index))).collect();
    let asked_before = bound(&node, &given[2].0);
    assert_eq!(prune(&node, 5), 10);
    for (record, first) in &given {
        assert_eq!(asked_again(&node, record).unwrap(), *first, "record {}", record.index);
        assert_eq!(is_sum(&node, record), record.index > 10);
    }
    // A repeat that read its row before the record was pruned.
    let third = &given[2];
    let receipt = node.journal.receipt(&third.0.project, &third.0.idem_key, asked_before.clone()).unwrap();
    assert_eq!(receipt.as_ref(), Some(&third.1));
    let node = node.reopen();
    node.journal.recover_tail().unwrap();
    assert_eq!(flaws(&node), [""; 0]);
    // Whole receipts are held against the node's signature, as no record is left.
    for bytes in [&given[3].1, &b"{}".to_vec(), &[&third.1[..], b" "].concat()] {
        let whole = BoundKey { receipt: StoredReceipt::Whole(bytes.clone()), ..asked_before.clone() };
        rebind(&node, &third.0, whole);
        assert_eq!(flaws(&node).len(), 1, "{:?}", flaws(&node));
    }
    rebind(&node, &third.0, asked_before);
    assert!(flaws(&node)[0].contains("the receipt was not kept"));
    let error = asked_again(&node, &third.0).unwrap_err();
    assert!(matches!(error, ReadError::Binding { index: 3, .. }) && error.is_damage(), "{error}");
}

#[test]
fn no_record_is_pruned_whose_receipt_cannot_be_kept() {
    let node = busy();
    let third = record(&node, 3);
    rebind(&node, &third, BoundKey { receipt: StoredReceipt::Sum(ReceiptSum::of(b"{}")), ..bound(&node, &third) });
    let projects = node.journal.projects().unwrap();
    node.journal.sweep(&projects).unwrap();
    let wanted = Retention { records: 5, since: Hlc::new(u64::MAX >> 20, 0).unwrap(), exported_to: None };
    let error = node.journal.prune_wal(&wanted, &|| true).unwrap_err();
    assert!(error.to_string().contains("bound to record 3"), "{error}");
    assert_eq!(node.journal.first_index(), 1);
}

/// A directory of format 2 is read as it is. The rows are rewritten where the record gives the same bytes; the others
/// stay, and the tools report those that differ.
#[test]
fn whole_receipts_of_format_2_are_read_and_replaced_by_their_sums() {
    let node = busy();
    let given = as_format_2(&node);
    node.overwrite(Family::Meta, meta::FORMAT, b"2");
    let Node { directory, journal, .. } = node;
    drop(journal);
    let journal = Journal::open(options(directory.path())).unwrap();
    journal.recover().unwrap();
    assert_eq!(journal.0.get(Family::Meta, meta::FORMAT).unwrap(), Some(FORMAT.to_string().into_bytes()));
    let bound = |record: &Record| journal.bound_key(&record.project, &record.idem_key).unwrap().unwrap();
    let again = |record: &Record| journal.receipt(&record.project, &record.idem_key, bound(record)).unwrap();
    assert!(verify(&journal, &mut |_| ()).is_good());
    assert!(given.iter().all(|(record, first)| again(record).as_ref() == Some(first)));
    assert_eq!(journal.index_receipts(&|| false).unwrap(), 0);
    let (whole, other) = (&given[6].0, given[7].1.clone());
    let differs = BoundKey { receipt: StoredReceipt::Whole(other), ..bound(whole) };
    journal.0.db.inside().put_cf(journal.0.family(Family::Idem).inside(), row(whole), differs.encode()).unwrap();
    assert_eq!(journal.index_receipts(&|| true).unwrap(), 14);
    for (record, first) in given.iter().filter(|(record, _)| record.index != whole.index) {
        assert_eq!((bound(record).encode().len(), again(record).as_ref()), (49, Some(first)));
    }
    assert_eq!(bound(whole), differs);
    let problems = verify(&journal, &mut |_| ()).problems;
    assert!(problems.iter().all(|problem| problem.index == 7) && !problems.is_empty(), "{problems:?}");
    assert_eq!(journal.index_receipts(&|| true).unwrap(), 0, "once in the life of a directory");
}

#[test]
fn whole_receipts_of_pruned_records_stay_whole() {
    let node = busy();
    let given = as_format_2(&node);
    assert_eq!(prune(&node, 5), 10);
    assert_eq!(node.journal.index_receipts(&|| true).unwrap(), 5);
    for (record, first) in &given {
        assert_eq!(asked_again(&node, record).unwrap(), *first);
        assert_eq!(is_sum(&node, record), record.index > 10);
    }
    assert_eq!(flaws(&node), [""; 0]);
}

#[test]
fn a_missing_record_is_an_error_and_no_receipt() {
    let node = busy();
    let third = record(&node, 3);
    node.journal.0.db.inside().delete_cf(node.journal.0.family(Family::Wal).inside(), wal_key(3)).unwrap();
    assert_eq!(asked_again(&node, &third), Err(ReadError::Missing { index: 3 }));
}
