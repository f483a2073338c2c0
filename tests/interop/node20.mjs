// What js-libp2p expects of its engine and Node 20 does not have yet. Loaded before everything else.

if (Promise.withResolvers === undefined) {
  Promise.withResolvers = function () {
    const parts = {}
    parts.promise = new this((resolve, reject) => Object.assign(parts, { resolve, reject }))
    return parts
  }
}
