//! A file that would decode to many times its size is refused before the memory is taken. The one
//! test of this binary, because it looks at the peak of the whole process.

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::fs;

    use proofmark_onnx::{Limits, parse};

    /// Peak resident memory of this process, in bytes.
    fn peak() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    /// A protobuf item: key, length, contents.
    fn item(key: u8, contents: &[u8]) -> Vec<u8> {
        let mut bytes = vec![key];
        let mut length = contents.len();
        while length >= 0x80 {
            bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).unwrap());
        bytes.extend_from_slice(contents);
        bytes
    }

    #[test]
    fn a_hostile_file_costs_no_more_than_the_limits_allow() {
        const SIZE: usize = 32 << 20;
        const ALLOWED: u64 = 16 << 20;
        let limits = Limits {
            max_decoded_bytes: ALLOWED,
            ..Limits::default()
        };
        // 16 Mi empty messages or strings each, or 32 Mi numbers of one byte
        let graphs = [
            ("nodes", item(0x3a, &[0x0a, 0].repeat(SIZE / 2))),
            ("initializers", item(0x3a, &[0x2a, 0].repeat(SIZE / 2))),
            ("declared values", item(0x3a, &[0x6a, 0].repeat(SIZE / 2))),
            (
                "attributes",
                item(0x3a, &item(0x0a, &[0x2a, 0].repeat(SIZE / 2))),
            ),
            (
                "node inputs",
                item(0x3a, &item(0x0a, &[0x0a, 0].repeat(SIZE / 2))),
            ),
            (
                "packed int64",
                item(0x3a, &item(0x2a, &item(0x3a, &vec![1; SIZE]))),
            ),
            (
                "single dims",
                item(0x3a, &item(0x2a, &[0x08, 1].repeat(SIZE / 2))),
            ),
            ("metadata", [0x72, 0].repeat(SIZE / 2)),
            ("functions", [0xca, 0x01, 0].repeat(SIZE / 3)),
        ];
        let before = peak();
        for (what, bytes) in &graphs {
            let error = parse(bytes, &limits).unwrap_err();
            assert_eq!(error.code(), "onnx-limit-exceeded", "{what}: {error}");
            let grown = peak() - before;
            assert!(grown <= ALLOWED, "{what} took {grown} bytes");
        }
    }
}
