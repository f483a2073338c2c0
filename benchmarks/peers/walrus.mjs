// The public Walrus encoder as a contestant: answers one JSON question a line with the seconds that the work took.
import { BlobEncoder } from '@mysten/walrus-wasm'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const encoders = new Map()
const kept = { key: '' }

function encoder(n) {
  if (!encoders.has(n)) encoders.set(n, new BlobEncoder(n))
  return encoders.get(n)
}

function lengthPrefixBytes(length) {
  let count = 1
  for (let rest = length; rest >= 128; rest = Math.floor(rest / 128)) count += 1
  return count
}

// A sliver travels as its length, its symbols, the symbol size and its index.
function buffers(n, symbols, symbolBytes) {
  const length = symbols * symbolBytes
  return Array.from({ length: n }, () => new Uint8Array(lengthPrefixBytes(length) + length + 4))
}

function prepare({ file, n }) {
  const key = `${file} ${n}`
  if (kept.key === key) return
  const data = new Uint8Array(readFileSync(file))
  const f = Math.floor((n - 1) / 3)
  const [rows, columns] = [n - 2 * f, n - f]
  const symbolBytes = Math.max(2, 2 * Math.ceil(data.length / (rows * columns) / 2))
  Object.assign(kept, {
    key, data, rows,
    primary: buffers(n, columns, symbolBytes),
    secondary: buffers(n, rows, symbolBytes),
    out: new Uint8Array(data.length),
  })
}

const work = {
  encode({ n }) {
    encoder(n).encode(kept.data, kept.primary, kept.secondary)
  },
  metadata({ n }) {
    encoder(n).compute_metadata(kept.data)
  },
  decode({ chosen, n }) {
    const slivers = chosen.map((index) => kept.primary[index])
    encoder(n).decode(kept.id, BigInt(kept.data.length), slivers, kept.out)
  },
}

// What an operation needs beforehand, and is not measured.
function before(question) {
  prepare(question)
  if (question.work === 'decode' && kept.decodable !== kept.key) {
    const [{ blob_id: id }] = encoder(question.n).encode(kept.data, kept.primary, kept.secondary)
    Object.assign(kept, { id, decodable: kept.key })
  }
}

function answer(question) {
  if (question.work === 'ready') return {}
  if (question.work === 'id') {
    prepare(question)
    const [id] = encoder(question.n).compute_metadata(kept.data)
    return { id: Buffer.from(id).toString('hex') }
  }
  if (question.work === 'encode' && question.repeat === 0) {
    // For the peak of memory: once, and nothing else.
    prepare(question)
    work.encode(question)
    return {}
  }
  if (!(question.work in work)) return { unsupported: 'the package does not offer it' }
  before(question)
  const start = process.hrtime.bigint()
  for (let round = 0; round < question.repeat; round += 1) work[question.work](question)
  const seconds = Number(process.hrtime.bigint() - start) / 1e9 / question.repeat
  if (question.work === 'decode' && Buffer.compare(kept.out, kept.data) !== 0) throw new Error('decoded wrong bytes')
  return { seconds }
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply
  try {
    reply = answer(JSON.parse(line))
  } catch (error) {
    reply = { unsupported: String(error) }
  }
  process.stdout.write(JSON.stringify(reply) + '\n')
}
