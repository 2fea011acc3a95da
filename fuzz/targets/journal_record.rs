//! See `tokenkeep_fuzz::journal_record`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::journal_record(data));
