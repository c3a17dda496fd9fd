//! Keys in the form that a user types: base58 in groups of four.

/// Encodes 32 bytes as the specification describes: a prefix, the key, and a byte that makes the
/// exclusive or of all bytes zero.
pub(crate) fn encode(key: &[u8; 32]) -> String {
    let mut bytes = vec![0x8B, 0x01];
    bytes.extend_from_slice(key);
    bytes.push(bytes.iter().fold(0, |parity, byte| parity ^ byte));
    let text = bs58::encode(bytes).into_string();
    let groups: Vec<&str> = text
        .as_bytes()
        .chunks(4)
        .map(|group| std::str::from_utf8(group).expect("base58 is ASCII"))
        .collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn the_written_key_has_prefix_parity_and_groups() {
        let text = encode(&[7; 32]);
        assert!(text.split(' ').all(|group| group.len() <= 4));
        let bytes = bs58::decode(text.replace(' ', "")).into_vec().expect("it is base58");
        assert_eq!(bytes.len(), 35);
        assert_eq!(bytes[..2], [0x8B, 0x01]);
        assert_eq!(bytes.iter().fold(0, |parity, byte| parity ^ byte), 0);
    }
}
