import { assert, describe, it } from "vitest"
import * as TraceMermaid from "../src/TraceMermaid.ts"
import * as TraceTree from "../src/TraceTree.ts"
import { call, decided, type Given, graph, node, spans } from "./support/StoredSpans.ts"

const draw = (...given: ReadonlyArray<Given>) => TraceMermaid.draw(TraceTree.make(spans(...given))).split("\n")

const run: Given = { id: "run", name: "graph.execute", at: [0, 100], attributes: graph("write") }
const visit = (id: string, name: string, type: string, step: number, more: Partial<Given> = {}): Given => ({
  id,
  parent: "run",
  name: `node.${type}`,
  at: [10 * step, 10 * step + 5],
  attributes: node(name, type, step),
  ...more
})

describe("TraceMermaid.draw", () => {
  it("draws the steps with what they took, and the ways numbered in their order, bold", () => {
    assert.deepStrictEqual(
      draw(
        run,
        visit("w1", "write", "model", 1),
        { id: "l", parent: "w1", name: "llm.chat", at: [10, 15], attributes: call("m", 20, 7) },
        visit("r1", "review", "gate", 2, { events: [decided("fail", ["pass", "fail"])] }),
        visit("w2", "write", "model", 3),
        visit("r2", "review", "gate", 4, { events: [decided("pass", ["pass", "fail"])] })
      ),
      [
        "flowchart TD",
        `  n0["write<br/>model ×2<br/>10 ms, 27 tokens"]`,
        `  n1{"review<br/>gate ×2<br/>10 ms"}`,
        `  n2(("start"))`,
        `  n3(("end"))`,
        "  n2 --> n0",
        `  n0 -->|"1, 3"| n1`,
        `  n1 -->|"2: fail"| n0`,
        `  n1 -->|"4: pass"| n3`,
        "  classDef visited stroke-width:4px",
        "  classDef failed stroke:#c00,stroke-width:4px",
        "  class n0,n1 visited",
        "  linkStyle 0,1,2,3 stroke-width:4px"
      ]
    )
  })

  it("marks where a run failed, and dots the ways that a router did not take", () => {
    const lines = draw(
      { ...run, failed: true },
      visit("r", "sort", "router", 1, { events: [decided("math", ["math", "code"])] }),
      visit("m", "math", "model", 2, { failed: true })
    )
    assert.include(lines, `  n3(("failed"))`)
    assert.include(lines, `  n0 -.->|"code"| n4`)
    assert.include(lines, "  class n1 failed")
    assert.include(lines, "  linkStyle 0,1,2 stroke-width:4px")
  })

  it("tells of a loop of many turns the first and the last, and how many they were", () => {
    const turns = Array.from({ length: 40 }, (_, index) => visit(`t${index}`, "turn", "tool", index + 1))
    assert.include(draw(run, ...turns), `  n0 -->|"1, 2, 3, 4, … 39 ×39"| n0`)
  })

  it("draws a container and a sub-graph as blocks with what is inside", () => {
    const lines = draw(
      run,
      visit("p", "both", "parallel", 1),
      visit("x", "both.x", "tool", 2, { parent: "p" }),
      visit("s", "both.s", "subgraph", 3, { parent: "p" }),
      { id: "g", parent: "s", name: "graph.execute", at: [31, 34], attributes: graph("inner") },
      { id: "y", parent: "g", name: "node.model", at: [31, 33], attributes: node("ask", "model", 1) }
    )
    assert.deepStrictEqual(lines.slice(1, 13), [
      `  subgraph n0["both, parallel, 5.0 ms"]`,
      `    n1["both.x<br/>tool<br/>5.0 ms"]`,
      `    subgraph n2["both.s, subgraph, 5.0 ms"]`,
      `      n3["ask<br/>model<br/>2.0 ms"]`,
      `      n4((" "))`,
      `      n5((" "))`,
      "    end",
      "  end",
      `  n6(("start"))`,
      `  n7(("end"))`,
      "  n4 --> n3",
      `  n3 -->|"1"| n5`
    ])
  })

  it("draws which spans are below which where no graph ran", () => {
    const lines = draw(
      { id: "a", name: "GET /", at: [0, 9] },
      { id: "b", parent: "a", name: "SELECT", at: [1, 2] },
      { id: "c", parent: "a", name: "SELECT", at: [3, 4], failed: true }
    )
    assert.include(lines, `  n1["SELECT ×2"]`)
    assert.include(lines, `  n0 -->|"×2"| n1`)
    assert.include(lines, "  class n1 failed")
  })

  it("keeps names text, whatever they hold", () => {
    const name = `"]; click n0 "javascript:x" %%{init}%% <b> \`\n\u001b[2J`
    const text = draw(run, visit("n", name, "tool", 1, { events: [decided(name, [name, `${name}2`])] })).join("\n")
    assert.notMatch(text, /click n0 "|<b>|%%\{|\u001b/)
    assert.include(text, "#34;]; click n0 #34;javascript:x#34; #37;#37;#123;init#125;#37;#37; #60;b#62; #96; �[2J")
  })
})
