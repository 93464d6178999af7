// Hashes of twenty kinds over inputs of many sizes, in one piece and in parts, with keys, and the slow ones for passwords.
(async () => {
  const { bytesToHex, hexToBytes, utf8ToBytes, concatBytes } = utils;
  const next = randomNumbers(10);
  const noise = Uint8Array.from({ length: 30000 }, () => Math.floor(next() * 256));
  const sizes = [0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 135, 136, 1000, 30000];
  const kinds = {
    md5: legacy.md5,
    sha1: legacy.sha1,
    ripemd160: legacy.ripemd160,
    sha224: sha2.sha224,
    sha256: sha2.sha256,
    sha384: sha2.sha384,
    sha512: sha2.sha512,
    sha512_256: sha2.sha512_256,
    sha3_224: sha3.sha3_224,
    sha3_256: sha3.sha3_256,
    sha3_512: sha3.sha3_512,
    keccak_256: sha3.keccak_256,
    shake128: sha3.shake128,
    blake2b: blake2.blake2b,
    blake2s: blake2.blake2s,
    blake3: blake3.blake3,
  };
  const text = utf8ToBytes("Grüße an alle 🐉");

  return {
    hashes: Object.entries(kinds).map(([name, hash]) => [
      name,
      hash.outputLen,
      hash.blockLen,
      ...sizes.map((size) => bytesToHex(hash(noise.subarray(0, size)))),
    ]),
    inParts: Object.entries(kinds).map(([name, hash]) => {
      const parts = hash.create();
      for (let at = 0, size = 1; at < noise.length; at += size, size = (size * 3) % 1013)
        parts.update(noise.subarray(at, at + size));
      const copy = parts.clone();
      return [name, bytesToHex(parts.digest()) === bytesToHex(hash(noise)), bytesToHex(copy.update(text).digest())];
    }),
    chain: [sha2.sha256, sha2.sha512, sha3.sha3_256, blake3.blake3].map((hash) => {
      let digest = text;
      for (let i = 0; i < 2000; i++) digest = hash(digest);
      return digest;
    }),
    macs: [sha2.sha256, sha2.sha512, sha3.sha3_256].map((hash) => bytesToHex(hmac.hmac(hash, text, noise))),
    keyed: [
      blake2.blake2b(noise, {
        key: text,
        dkLen: 20,
        salt: noise.subarray(0, 16),
        personalization: noise.subarray(16, 32),
      }),
      blake3.blake3(noise, { key: noise.subarray(0, 32), dkLen: 100 }),
      blake3.blake3(noise, { context: text }),
      sha3.shake256(noise, { dkLen: 77 }),
    ],
    stream: bytesToHex(sha3.shake128.create({}).update(text).xof(300)),
    derived: hkdf.hkdf(sha2.sha256, noise.subarray(0, 40), text, utf8ToBytes("info"), 80),
    passwords: [
      scrypt.scrypt("password", "NaCl", { N: 1024, r: 8, p: 2, dkLen: 64 }),
      await scrypt.scryptAsync("", "salt", { N: 256, r: 4, p: 1, dkLen: 16, asyncTick: 1e9 }),
    ],
    encoded: [bytesToHex(text), hexToBytes("00ff10"), concatBytes(text, noise.subarray(0, 4))],
    // Not bad hexadecimal digits: where the engine has Uint8Array.fromHex, the library leaves them to it.
    refused: [
      () => sha2.sha256("text"),
      () => hmac.hmac(sha2.sha256, 7, text),
      () => hkdf.hkdf(sha2.sha256, text, text, text, 9000),
      () => blake3.blake3(text, { dkLen: -1 }),
    ].map((bad) => {
      try {
        return bad();
      } catch (error) {
        return [error.name, error.message];
      }
    }),
  };
})();
