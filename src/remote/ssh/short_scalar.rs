//! P-256 keys whose private number is shorter than its field, which the library refuses.
//!
//! OpenSSH writes that number as an mpint (RFC 4251, section 5), without leading zero bytes, so that one key in 256 has
//! fewer than 32. `ssh-key` 0.7 takes fewer bytes for P-384 and P-521, yet never fewer than 32.

use russh::keys::ssh_key::encoding::pem::PemLabel;
use russh::keys::ssh_key::encoding::{DecodePem as _, Mpint};
use russh::keys::ssh_key::private::{EcdsaKeypair, EcdsaPrivateKey};
use russh::keys::ssh_key::public::{EcdsaPublicKey, KeyData};
use russh::keys::ssh_key::{Algorithm, Cipher, Error, Kdf};
use russh::keys::{PrivateKey, ssh_key};
use ssh_key::encoding::{Decode, Reader};

/// How a file of OpenSSH's own format (`PROTOCOL.key`) begins.
const MAGIC: &[u8; 15] = b"openssh-key-v1\0";

/// The unencrypted P-256 key in OpenSSH's own format, or nothing if `text` is anything else.
pub(super) fn decode(text: &str) -> Option<PrivateKey> {
    File::decode_pem(text).ok().map(|File(pair)| pair.into())
}

struct File(EcdsaKeypair);

impl PemLabel for File {
    const PEM_LABEL: &'static str = "OPENSSH PRIVATE KEY";
}

impl Decode for File {
    type Error = Error;

    fn decode(reader: &mut impl Reader) -> Result<Self, Error> {
        let mut magic = [0; MAGIC.len()];
        reader.read(&mut magic)?;
        let plain = Cipher::decode(reader)?.is_none() && Kdf::decode(reader)?.is_none();
        let one = usize::decode(reader)? == 1;
        if !(magic == *MAGIC && plain && one) {
            return Err(Error::FormatEncoding);
        }
        let public = reader.read_prefixed(KeyData::decode)?;
        let pair = reader.read_prefixed(pair)?;
        if public.ecdsa() != Some(&EcdsaPublicKey::from(&pair)) {
            return Err(Error::PublicKey);
        }
        Ok(Self(pair))
    }
}

/// The part that an encrypted file would hide: two equal numbers, the key, a comment, and padding.
fn pair(reader: &mut impl Reader) -> Result<EcdsaKeypair, Error> {
    let checked = u32::decode(reader)? == u32::decode(reader)?;
    let algorithm = Algorithm::decode(reader)?;
    let EcdsaPublicKey::NistP256(public) = EcdsaPublicKey::decode(reader)? else {
        return Err(Error::AlgorithmUnknown);
    };
    let number = Mpint::decode(reader)?;
    reader.drain_prefixed()?;
    reader.drain(reader.remaining_len())?;
    if !(checked && algorithm.is_ecdsa()) {
        return Err(Error::FormatEncoding);
    }
    let mut private = [0; 32];
    let number = number.as_positive_bytes().ok_or(Error::FormatEncoding)?;
    let zeros = private.len().checked_sub(number.len()).ok_or(Error::FormatEncoding)?;
    private.iter_mut().skip(zeros).zip(number).for_each(|(byte, from)| *byte = *from);
    Ok(EcdsaKeypair::NistP256 { public, private: EcdsaPrivateKey::from(private) })
}
