//! See `tokenkeep_fuzz::vault_record`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::vault_record(data));
