//! The target `journal` of `saga-fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    (saga_fuzz::TARGETS[0].take)(bytes);
});
