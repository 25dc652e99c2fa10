//! Identifiers, token values and host keys: from the operating system's randomness, never from the seed, so
//! that two sandboxes on one machine do not hand out the same ones.

use russh::keys::ssh_key::rand_core::Rng;
use russh::keys::{Algorithm, PrivateKey, key::safe_rng};

/// A random UUID (version 4) with dashes, as Nova, Glance and Neutron write identifiers.
pub(crate) fn uuid() -> String {
    let mut bytes = [0_u8; 16];
    safe_rng().fill_bytes(&mut bytes);
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let hex = hex(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// 32 random hex digits, as Keystone writes identifiers.
pub(crate) fn hex_id() -> String {
    let mut bytes = [0_u8; 16];
    safe_rng().fill_bytes(&mut bytes);
    hex(&bytes)
}

/// A secret of 256 bits as hex digits.
pub fn secret() -> String {
    let mut bytes = [0_u8; 32];
    safe_rng().fill_bytes(&mut bytes);
    hex(&bytes)
}

/// The tail of a MAC address in OpenStack's usual range.
pub(crate) fn mac() -> String {
    let mut bytes = [0_u8; 3];
    safe_rng().fill_bytes(&mut bytes);
    let [a, b, c] = bytes;
    format!("fa:16:3e:{a:02x}:{b:02x}:{c:02x}")
}

/// A new ed25519 host key.
pub(crate) fn host_key() -> Result<PrivateKey, russh::keys::ssh_key::Error> {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_has_its_shape() {
        let id = super::uuid();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(id.chars().nth(14), Some('4'));
        assert!(matches!(id.chars().nth(19), Some('8' | '9' | 'a' | 'b')));
        assert_ne!(id, super::uuid());
    }
}
