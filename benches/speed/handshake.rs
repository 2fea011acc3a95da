//! Full mTLS handshakes: connect, shake hands, one request that proves that the server took the certificate, close.
//!
//! Never counts a handshake whose request was not answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::load::{Load, Plan, Until, sum_up};
use super::process;

/// As many callers at once as the plan has connections, all on the core of clients.
pub(crate) fn run(plan: &Plan) -> Load {
    let Until::Elapsed(span) = plan.until else { panic!("handshakes are counted for a time") };
    let connector = plan.server_at.connector();
    let request = plan.act.request(plan.keys).of(0).to_vec();
    let over = AtomicBool::new(false);
    let (begun, cpu) = (Instant::now(), process::cpu(plan.server));
    let mut waits: Vec<u32> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..plan.connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut waits = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let asked_at = Instant::now();
                        let mut line = connector.connect();
                        line.write_all(&request).expect("the server takes the request");
                        let mut answer = [0; 4096];
                        let mut read = 0;
                        while read == 0 {
                            read = line.read(&mut answer).expect("the server answers");
                        }
                        assert!(answer.starts_with(b"HTTP/1.1 200"), "not a success");
                        waits.push(asked_at.elapsed().as_nanos() as u32);
                    }
                    waits
                })
            })
            .collect();
        std::thread::sleep(span.max(Duration::from_millis(100)));
        over.store(true, Ordering::Relaxed);
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect()
    });
    sum_up(&mut waits, begun.elapsed(), process::cpu(plan.server) - cpu)
}
