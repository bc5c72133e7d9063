//! Any bytes as the arguments of a call.
#![no_main]

use ferromcp_guard::{ScanLimits, scan_bytes};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let passed = scan_bytes(data, &ScanLimits::default()).is_ok();
    if passed {
        assert!(
            serde_json::from_slice::<&RawValue>(data).is_ok(),
            "passed what is no JSON"
        );
    }
});
