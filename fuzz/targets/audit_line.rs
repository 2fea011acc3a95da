//! See `tokenkeep_fuzz::audit_line`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::audit_line(data));
