// The js side of the exchanges on custom streams. All of them use one format: eight bytes of length, the data, and
// then the other side's answer, the SHA-256 of what it got.

import { createHash, randomBytes } from 'node:crypto'

const PREFIX_BYTES = 8
const WRITE_BYTES = 64 * 1024
const PAUSE_BYTES = 256 * 1024

/** Collects what arrives on a stream, and tells who waits. */
export class Reader {
  constructor (stream) {
    this.stream = stream
    this.parts = []
    this.bytes = 0
    this.ended = false
    this.error = null
    this.wake = () => {}
    stream.addEventListener('message', event => {
      const part = event.data.subarray()
      this.parts.push(part)
      this.bytes += part.byteLength
      this.wake()
    })
    stream.addEventListener('remoteCloseWrite', () => { this.ended = true; this.wake() })
    stream.addEventListener('close', event => { this.ended = true; this.error = event.error ?? null; this.wake() })
  }

  /** Resolves to at least one byte, or to null at the end. Rejects when the stream was reset. */
  async some () {
    while (this.bytes === 0) {
      if (this.error !== null) throw this.error
      if (this.ended) return null
      await new Promise(resolve => { this.wake = resolve })
    }
    const all = Buffer.concat(this.parts)
    this.parts = []
    this.bytes = 0
    return all
  }

  async exactly (count) {
    const parts = []
    let missing = count
    while (missing > 0) {
      const part = await this.some()
      if (part === null) throw new Error(`the stream ended ${missing} bytes too early`)
      const taken = part.subarray(0, missing)
      this.putBack(part.subarray(taken.byteLength))
      parts.push(taken)
      missing -= taken.byteLength
    }
    return Buffer.concat(parts)
  }

  putBack (rest) {
    if (rest.byteLength === 0) return
    this.parts.unshift(rest)
    this.bytes += rest.byteLength
  }
}

/** Sends everything, waiting whenever the other side's window is full. */
export async function sendAll (stream, data, signal) {
  for (let start = 0; start < data.byteLength; start += WRITE_BYTES) {
    if (!stream.send(data.subarray(start, start + WRITE_BYTES))) await stream.onDrain({ signal })
  }
}

function lengthPrefix (count) {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeBigUInt64BE(BigInt(count))
  return prefix
}

/** Sends `count` random bytes, ends our side, and reports whether the answer is their hash. */
export async function askDigest (stream, count, signal) {
  const reader = new Reader(stream)
  const data = randomBytes(count)
  const answer = reader.exactly(32)
  answer.catch(() => {})
  await sendAll(stream, lengthPrefix(count), signal)
  await sendAll(stream, data, signal)
  await stream.close({ signal })
  const expected = createHash('sha256').update(data).digest()
  return { isRight: expected.equals(await answer) }
}

/** Starts as `askDigest` does, but aborts the stream when half of what it announced is sent. */
export async function abortMidway (stream, count, signal) {
  await sendAll(stream, lengthPrefix(count), signal)
  await sendAll(stream, randomBytes(count / 2), signal)
  stream.abort(new Error('the test aborts the stream'))
}

/** Ends our side at once and counts what the other side sends until its own end. */
export async function countUntilEnd (stream, signal) {
  const reader = new Reader(stream)
  await stream.close({ signal })
  let count = 0
  for (let part = await reader.some(); part !== null; part = await reader.some()) count += part.byteLength
  return { count }
}

/**
 * Answers a digest request. `rest` is awaited after each PAUSE_BYTES, with the stream paused meanwhile, so that the
 * other side finds the window full.
 */
export async function answerDigest (stream, signal, rest = null) {
  const reader = new Reader(stream)
  let missing = Number((await reader.exactly(PREFIX_BYTES)).readBigUInt64BE())
  const hash = createHash('sha256')
  let sinceRest = 0
  while (missing > 0) {
    const part = await reader.some()
    if (part === null) throw new Error(`the stream ended ${missing} bytes too early`)
    hash.update(part)
    missing -= part.byteLength
    sinceRest += part.byteLength
    if (rest !== null && sinceRest >= PAUSE_BYTES) {
      sinceRest = 0
      stream.pause()
      await rest()
      stream.resume()
    }
  }
  await sendAll(stream, hash.digest(), signal)
  await stream.close({ signal })
}
