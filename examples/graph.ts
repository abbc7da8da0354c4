// A support desk as a graph: questions are sorted, code is written and reviewed until the review accepts it.
//
// Run it with `npx tsx examples/graph.ts`. It needs no Ollama: a demo server on loopback answers.
//
// Prints the steps that were visited, and the graph as a Mermaid flowchart in which they are bold:
//
//   5 nodes: classify > write > review > write > review
//   flowchart TD
//     start(("start")) --> n0
//     n0{"classify<br/>router"}
//     n0 -->|"code"| n2
//     n0 -->|"math"| n1
//     n1["solve<br/>model"]
//     n1 --> end_
//     n2["write<br/>model ×2"]
//     n2 -->|"×2"| n3
//     n3{"review<br/>branch ×2"}
//     n3 -->|"accept"| end_
//     n3 -->|"retry"| n2
//     end_(("end"))
//     classDef visited stroke-width:4px
//     class n0,n2,n3 visited
//     linkStyle 0,1,4,5,6 stroke-width:4px
import { Effect } from "effect"
import * as Demo from "tinyllm/Demo"
import * as Graph from "tinyllm/Graph"
import * as Node from "tinyllm/Node"

// Messages carry a `_tag`, because types are structural: without it, a Draft with `text` passes for a Question.
export interface Question {
  readonly _tag: "Question"
  readonly text: string
}

export interface Draft {
  readonly _tag: "Draft"
  readonly question: Question
  readonly text: string
  readonly round: number
}

export interface Answer {
  readonly _tag: "Answer"
  readonly text: string
}

const model = "qwen2.5:0.5b"

const classify = Node.router({
  model,
  prompt: (question: Question) => question.text,
  routes: { code: "questions about programs", math: "questions about numbers" },
  fallback: "code"
})

const solve = Node.model({
  model,
  prompt: (question: Question) => question.text,
  temperature: 0,
  output: ({ text }): Answer => ({ _tag: "Answer", text })
}).pipe(Node.timeout("1 minute"))

const write = Node.model({
  model,
  system: "Write the code that is asked for.",
  prompt: (message: Question | Draft) => (message._tag === "Question" ? message.text : message.question.text),
  output: ({ text }, message): Draft =>
    message._tag === "Question"
      ? { _tag: "Draft", question: message, text, round: 1 }
      : { ...message, text, round: message.round + 1 }
})

// Two rounds are enough for a draft to be accepted; a loop that never accepts would stop at `maxSteps`.
const review = Node.branch((draft: Draft) =>
  draft.round >= 2 ? Node.to("accept", { _tag: "Answer", text: draft.text } as Answer) : Node.to("retry", draft)
)

export const support = Graph.make("support", {
  nodes: { classify, solve, write, review },
  start: "classify",
  edges: {
    classify: { code: "write", math: "solve" },
    solve: "end",
    write: "review",
    review: { accept: "end", retry: "write" }
  },
  maxSteps: 10
})

const program = Effect.gen(function* () {
  const execution = yield* Graph.run(support, { _tag: "Question", text: "Write a function that adds two numbers" })
  console.log(`${execution.nodesExecuted} nodes: ${execution.path.map(({ node }) => node).join(" > ")}`)
  console.log(Graph.toMermaid(support, { visited: execution }))
})

// Only when this file is run, not when another one imports the graph. The demo server on loopback answers, so that it
// runs anywhere; `NodeClient.layerConfig` from "tinyllm/node" is a real Ollama.
if (import.meta.main) {
  await Effect.runPromise(Effect.provide(program, Demo.layer))
}
