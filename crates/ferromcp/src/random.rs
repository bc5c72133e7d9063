//! Unguessable names.

use ferromcp_core::{CallError, ErrorCode};

/// 128 bits of the system's randomness as 32 hexadecimal digits.
pub(crate) fn hex128() -> Result<String, CallError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| {
        CallError::new(
            ErrorCode::Internal,
            format!("the system gives no randomness: {e}"),
        )
    })?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
