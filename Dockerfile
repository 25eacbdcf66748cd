# One image for sidecar and executor; which one it is, the command says.
FROM node:20.20.2-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json tsconfig.build.json ./
COPY src src
COPY ledger ledger
COPY policy policy
COPY examples examples
RUN npm ci && npm run build && npm prune --omit=dev

FROM node:20.20.2-slim
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/policy policy
COPY --from=build /app/examples/facts examples/facts
USER node
ENTRYPOINT ["node", "/app/dist/src/main.js"]
