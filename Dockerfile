# Trellis in a container: docker build -t trellis . && docker run -p 127.0.0.1:1883:1883 -v trellis:/data trellis
FROM node:24-bookworm-slim AS build
WORKDIR /opt/trellis
COPY package.json package-lock.json tsconfig.json tsconfig.build.json config.schema.json scenario.schema.json ./
COPY src ./src
COPY firmware-sim ./firmware-sim
# Compiles as well: npm ci runs the package's prepare script.
RUN npm ci && npm prune --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
WORKDIR /opt/trellis
COPY --from=build /opt/trellis/package.json /opt/trellis/config.schema.json ./
COPY --from=build /opt/trellis/node_modules ./node_modules
COPY --from=build /opt/trellis/dist ./dist
COPY --from=build /opt/trellis/firmware-sim/scenarios ./firmware-sim/scenarios
RUN ln -s /opt/trellis/dist/src/main.js /usr/local/bin/trellis && chmod +x dist/src/main.js \
  && mkdir /data /config && chown node:node /data && chmod 700 /data
USER node
# The default data directory, ./data, is /data from here.
WORKDIR /
VOLUME ["/data", "/config"]
EXPOSE 1883 8083
# Asks for a CONNACK, be it one that refuses: a broker that asks for passwords lives too. One that has TLS listeners only needs a
# check of its own, or listeners.tcp on 127.0.0.1.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 \
  CMD ["node", "-e", "require('node:net').connect(1883, '127.0.0.1').on('data', ([type]) => process.exit(type === 0x20 ? 0 : 1)).on('error', () => {}).on('close', () => process.exit(1)).write(Buffer.from('100c00044d5154540402003c0000', 'hex'))"]
# With /config/trellis.yaml that file decides. Without it the broker listens on all addresses of the container and lets
# everybody in, in so many words: who can reach it is decided by the ports that are published.
ENTRYPOINT ["/bin/sh", "-c", "if [ -f /config/trellis.yaml ]; then set -- --config /config/trellis.yaml \"$@\"; else set -- --host 0.0.0.0 --set auth.allowAnonymous=everywhere \"$@\"; fi; exec trellis start \"$@\"", "trellis"]
CMD []
