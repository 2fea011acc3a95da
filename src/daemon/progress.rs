//! The making of an index, told to the service manager: a start that takes long is no start that failed.

use std::sync::Arc;
use std::time::Duration;

use crate::os::service_manager::ServiceManager;
use crate::store::embedded::{Progress, Rebuild};

/// For the next percent. A journal is read at hundreds of megabytes a second; a slow disk may take longer.
const PERCENT: Duration = Duration::from_secs(60);

/// Says each percent once.
pub(super) fn of_index(manager: Arc<ServiceManager>) -> Progress {
    let mut said = None;
    Box::new(move |Rebuild { read, total }| {
        let percent = read.saturating_mul(100) / total.max(1);
        if said.replace(percent) != Some(percent) {
            manager.not_yet(&format!("making the index anew: {percent} %"), PERCENT);
        }
    })
}
