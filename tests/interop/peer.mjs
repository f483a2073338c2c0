// A js-libp2p peer that does what a test tells it: one JSON command per line on stdin, one JSON answer per line on
// stdout, and what it saw on stderr, for people. It ends with its stdin, and after LIFE_MS whatever happens.

import { createInterface } from 'node:readline'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { abortMidway, answerDigest, askDigest, countUntilEnd } from './streams.mjs'

const LIFE_MS = 110_000
const COMMAND_MS = 25_000
const LOOK_MS = 10
const RAW_CODEC = 0x55
const STREAMS_MAX = 200
const LOG_CHARS_MAX = 300

const settings = JSON.parse(process.argv[2])
setTimeout(() => { log('this peer has lived for too long'); process.exit(3) }, LIFE_MS).unref()

const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  // As it comes, its window grows to four times what it lets pile up unread: a slow reader of its own would be reset.
  streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 4 * 1024 * 1024 - 1 } })],
  services: {
    identify: identify(),
    // The commands, the DHT and libp2p's own heartbeat all ping; the default is one stream for the three of them.
    ping: ping({ maxOutboundStreams: 4 }),
    pubsub: gossipsub({ globalSignaturePolicy: settings.signing, allowPublishToZeroTopicPeers: true }),
    dht: kadDHT({
      protocol: settings.kad,
      clientMode: false,
      allowQueryWithZeroPeers: true,
      // The default leaves out loopback addresses, and the tests have no others.
      peerInfoMapper: passthroughMapper
    })
  }
})

const name = node.peerId.toString().slice(-6)
const identified = new Map()
const heard = []
const resets = []

function log (...words) {
  console.error(`js ${name ?? ''}:`, ...words)
}

function short (value) {
  return JSON.stringify(value).slice(0, LOG_CHARS_MAX)
}

function deadline () {
  return { signal: AbortSignal.timeout(COMMAND_MS) }
}

async function until (look) {
  const { signal } = deadline()
  for (;;) {
    const found = look()
    if (found) return found
    signal.throwIfAborted()
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}

async function open (peer, protocol) {
  return node.dialProtocol(peerIdFromString(peer), protocol, deadline())
}

async function cidOf (text) {
  return CID.createV1(RAW_CODEC, await sha256.digest(new TextEncoder().encode(text)))
}

function peerInfo (info) {
  return { peer: info.id.toString(), addresses: info.multiaddrs.map(String) }
}

node.addEventListener('peer:identify', ({ detail }) => {
  log('identified', detail.agentVersion, detail.listenAddrs.map(String).join(' '), detail.protocols.join(' '))
  identified.set(detail.peerId.toString(), {
    agent: detail.agentVersion,
    protocols: detail.protocols,
    addresses: detail.listenAddrs.map(String),
    observed: detail.observedAddr?.toString() ?? null
  })
})

node.services.pubsub.addEventListener('message', ({ detail }) => {
  const text = new TextDecoder().decode(detail.data)
  log('heard', detail.type, 'gossip of', detail.data.byteLength, 'bytes:', text.slice(0, 40))
  heard.push({ topic: detail.topic, type: detail.type, from: detail.from?.toString() ?? null, text })
})

/** Serves a protocol; how its streams fail is kept for the test. */
async function serve (protocol, answer) {
  await node.handle(protocol, (stream, connection) => {
    answer(stream, connection).catch(error => {
      log('a stream of', protocol, 'failed:', error.name, error.message)
      resets.push({ protocol, error: error.name })
    })
  }, { maxInboundStreams: STREAMS_MAX, maxOutboundStreams: STREAMS_MAX })
}

await serve(settings.digest, async stream => answerDigest(stream, deadline().signal))
await serve(settings.slowDigest, async (stream, connection) => {
  await answerDigest(stream, deadline().signal, async () => node.services.ping.ping(connection.remotePeer, deadline()))
})

const commands = {
  async dial ({ address }) {
    const connection = await node.dial(multiaddr(address), deadline())
    return { peer: connection.remotePeer.toString(), security: connection.encryption, muxer: connection.multiplexer }
  },

  async identified ({ peer }) {
    return until(() => identified.get(peer))
  },

  async ping ({ peer }) {
    return { milliseconds: await node.services.ping.ping(peerIdFromString(peer), deadline()) }
  },

  async digest ({ peer, protocol, bytes, count = 1 }) {
    const exchanges = Array.from({ length: count }, async () => {
      return askDigest(await open(peer, protocol), bytes, deadline().signal)
    })
    const answers = await Promise.all(exchanges)
    return { right: answers.filter(answer => answer.isRight).length }
  },

  async abort ({ peer, protocol, bytes }) {
    await abortMidway(await open(peer, protocol), bytes, deadline().signal)
    return {}
  },

  async countUntilEnd ({ peer, protocol }) {
    return countUntilEnd(await open(peer, protocol), deadline().signal)
  },

  /** Opens streams and holds them open; says how many the other side took, and lets go of them. */
  async hold ({ peer, protocol, count }) {
    const opening = Array.from({ length: count }, async () => open(peer, protocol))
    const streams = (await Promise.allSettled(opening)).filter(each => each.status === 'fulfilled')
    streams.forEach(({ value }) => value.abort(new Error('the test lets go')))
    return { held: streams.length }
  },

  async resets ({ protocol }) {
    return until(() => resets.find(each => each.protocol === protocol))
  },

  async connections ({ peer }) {
    return { count: node.getConnections(peerIdFromString(peer)).length }
  },

  async subscribe ({ topic }) {
    node.services.pubsub.subscribe(topic)
    return {}
  },

  async publish ({ topic, text }) {
    const sent = await node.services.pubsub.publish(topic, new TextEncoder().encode(text))
    return { recipients: sent.recipients.map(String) }
  },

  async subscriber ({ topic, peer }) {
    await until(() => node.services.pubsub.getSubscribers(topic).some(each => each.toString() === peer))
    return {}
  },

  async heard ({ topic, text }) {
    return until(() => heard.find(each => each.topic === topic && each.text === text))
  },

  async routes ({ count }) {
    return { size: await until(() => node.services.dht.routingTable.size >= count && node.services.dht.routingTable.size) }
  },

  async findPeer ({ peer }) {
    return peerInfo(await node.peerRouting.findPeer(peerIdFromString(peer), deadline()))
  },

  async provide ({ text }) {
    await node.contentRouting.provide(await cidOf(text), deadline())
    return {}
  },

  async findProviders ({ text }) {
    const found = []
    for await (const provider of node.contentRouting.findProviders(await cidOf(text), deadline())) {
      found.push(peerInfo(provider))
    }
    return { providers: found }
  }
}

async function run (line) {
  const { id, command, ...details } = JSON.parse(line)
  log(command, short(details))
  try {
    const answer = await commands[command](details)
    log(command, '->', short(answer))
    console.log(JSON.stringify({ id, answer }))
  } catch (error) {
    log(command, 'failed:', error.name, error.message)
    console.log(JSON.stringify({ id, error: `${error.name}: ${error.message}` }))
  }
}

const lines = createInterface({ input: process.stdin })
lines.on('line', run)
lines.on('close', async () => {
  setTimeout(() => process.exit(4), 2000).unref()
  await node.stop()
  log('stopped')
  process.exit(0)
})

log('js-libp2p on Node', process.version, 'is', node.peerId.toString(), node.getMultiaddrs().map(String).join(' '))
console.log(JSON.stringify({ id: 0, answer: { peer: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) } }))
