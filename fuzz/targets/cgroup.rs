//! See `tokenkeep_fuzz::cgroup`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::cgroup(data));
