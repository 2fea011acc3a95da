//! Lines that share a write: in the file before anybody is told so, all of them or none.
//!
//! Never waits for a time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::*;

/// The length of the one file there is.
fn length(kit: &Kit) -> u64 {
    fs::metadata(kit.path(&kit.files()[0])).unwrap().len()
}

fn in_tasks<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn nothing_is_written_before_the_others_had_their_turn_and_then_all_at_once() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, opened) = kit.open();
    let (log, empty) = (Arc::new(log), length(&kit));
    in_tasks(async {
        let tasks: Vec<_> = (0..40)
            .map(|number| {
                let log = Arc::clone(&log);
                let file = kit.path(&kit.files()[0]);
                tokio::spawn(async move {
                    let who = asked_by("billing.service");
                    let gathered = log.gather(&read_of(&who, &format!("request-{number}"))).unwrap();
                    let before = fs::metadata(&file).unwrap().len();
                    gathered.written().await.unwrap();
                    (before, fs::metadata(&file).unwrap().len())
                })
            })
            .collect();
        let mut whole = None;
        for task in tasks {
            let (before, after) = task.await.unwrap();
            assert_eq!(before, empty);
            assert_eq!(*whole.get_or_insert(after), after, "one write");
            assert!(after > empty);
        }
    });
    assert_eq!(log.health().head.sequence, opened.head.sequence + 40);
    log.verify().unwrap();
    let text = lines(&kit.path(&kit.files()[0]));
    assert!(text[1].contains("request-0") && text[40].contains("request-39"), "in the order of the calls");
}

#[test]
fn who_leaves_before_its_line_is_written_writes_it_and_those_of_the_others() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, _) = kit.open();
    let (who, empty) = (asked_by("billing.service"), length(&kit));
    in_tasks(async {
        let first = log.gather(&read_of(&who, "first")).unwrap();
        let second = log.gather(&read_of(&who, "second")).unwrap();
        let mut second = pin!(second.written());
        let polled = poll_fn(|context| Poll::Ready(second.as_mut().poll(context).is_ready())).await;
        assert!(!polled, "its line is not in the file");
        assert_eq!(length(&kit), empty);
        // The client of the first has hung up.
        drop(first);
        assert!(length(&kit) > empty);
        second.await.unwrap();
    });
    assert_eq!(lines(&kit.path(&kit.files()[0])).len(), 3);
    log.verify().unwrap();
}

#[test]
fn a_line_that_cannot_wait_takes_those_before_it_along() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, opened) = kit.open();
    let who = asked_by("billing.service");
    let gathered = log.gather(&read_of(&who, "read")).unwrap();
    let mark = log.append(&read_of(&who, "denied")).unwrap();
    assert_eq!(mark.sequence, opened.head.sequence + 2);
    assert_eq!(lines(&kit.path(&kit.files()[0])).len(), 3);
    assert_eq!(wait(gathered.written()).unwrap().sequence, opened.head.sequence + 1);
    let gathered = log.gather(&read_of(&who, "read")).unwrap();
    let durable = wait(log.append_durable(&read_of(&who, "change"))).unwrap();
    assert_eq!(durable.sequence, opened.head.sequence + 4);
    wait(gathered.written()).unwrap();
    log.verify().unwrap();
}

#[test]
fn the_entries_of_a_batch_follow_each_other_and_take_along_what_waits() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, opened) = kit.open();
    let who = asked_by("billing.service");
    let gathered = log.gather(&read_of(&who, "read")).unwrap();
    let ids: Vec<String> = (0..500).map(|number| format!("item-{number}")).collect();
    let last = log.append_all(ids.iter().map(|id| read_of(&who, id))).unwrap();
    assert_eq!(last.sequence, opened.head.sequence + 501);
    assert_eq!(wait(gathered.written()).unwrap().sequence, opened.head.sequence + 1);
    let text = lines(&kit.path(&kit.files()[0]));
    assert_eq!(text.len(), 502);
    let asked = |at: usize| ids.get(at).unwrap().as_str();
    assert!((0..500).all(|at| text[at + 2].contains(&format!("\"{}\"", asked(at)))), "in the order given");
    log.verify().unwrap();
}

#[test]
fn an_entry_that_cannot_be_written_refuses_its_batch_and_keeps_nobody_waiting() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, _) = kit.open();
    let who = asked_by("billing.service");
    let gathered = log.gather(&read_of(&who, "read")).unwrap();
    let long = "x".repeat(70_000);
    let batch = ["first", &long, "never"].map(|id| read_of(&who, id));
    assert_eq!(log.append_all(batch.into_iter()), Err(AuditError::TooLong));
    wait(gathered.written()).unwrap();
    let text = lines(&kit.path(&kit.files()[0]));
    assert!(text.len() == 3 && text[2].contains("first"), "{} lines", text.len());
    log.verify().unwrap();
    log.close();
    let closed = log.append_all(["late"].map(|id| read_of(&who, id)).into_iter());
    assert!(matches!(closed, Err(AuditError::Unavailable(_))));
}

#[test]
fn a_day_that_ends_meanwhile_parts_them() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, _) = kit.open();
    let who = asked_by("billing.service");
    let before = log.gather(&read_of(&who, "before")).unwrap();
    kit.clock.advance(Duration::from_secs(86_400));
    let after = log.gather(&read_of(&who, "after")).unwrap();
    wait(before.written()).unwrap();
    assert_eq!(lines(&kit.path("2026-11-22.0002.jsonl")).len(), 1, "the later line still waits");
    wait(after.written()).unwrap();
    assert_eq!(lines(&kit.path("2026-11-21.0001.jsonl")).len(), 2);
    assert_eq!(lines(&kit.path("2026-11-22.0002.jsonl")).len(), 2);
    log.verify().unwrap();
}

#[test]
fn so_many_that_they_are_a_burden_do_not_wait() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, _) = kit.open();
    let (who, empty) = (asked_by("billing.service"), length(&kit));
    let gathered: Vec<_> = (0..500).map(|_| log.gather(&read_of(&who, "r")).unwrap()).collect();
    assert!(length(&kit) > empty + 64 * 1024);
    for gathered in gathered {
        wait(gathered.written()).unwrap();
    }
    log.verify().unwrap();
}

#[test]
fn where_the_log_fails_all_who_wait_are_told() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, _) = kit.open();
    let who = asked_by("billing.service");
    let gathered: Vec<_> = (0..3).map(|_| log.gather(&read_of(&who, "r")).unwrap()).collect();
    let whole = length(&kit);
    log.close();
    for gathered in gathered {
        assert!(matches!(wait(gathered.written()), Err(AuditError::Unavailable(_))));
    }
    assert_eq!(length(&kit), whole, "and none of it is in the file");
    assert!(log.gather(&read_of(&who, "r")).is_err());
}
