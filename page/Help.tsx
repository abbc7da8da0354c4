/** What keys do. */
import { useLayoutEffect, useRef } from "preact/hooks"

const keys: ReadonlyArray<readonly [keys: string, what: string]> = [
  ["↑ ↓", "the span above, below"],
  ["→ ←", "expand, or the first span in it; collapse, or the span it is in"],
  ["Home End", "the first, the last span"],
  ["Page ↑ Page ↓", "a screen of spans up, down"],
  ["Enter", "its details"],
  ["e c", "expand all, collapse all"],
  ["1 … 9", "expand so many levels"],
  ["/", "search; Enter for the next, Shift Enter for the one before"],
  ["n p", "the next span found, the one before"],
  ["x", "the next span that failed"],
  ["+ − 0", "zoom in, out, show all of it"],
  ["z", "zoom to the selected span"],
  ["Shift ← →", "move through time"],
  ["g", "show or hide the graph"],
  ["t", "light or dark"],
  ["Esc", "close, or clear the search"],
  ["?", "this help"]
]

export const Help = ({ onClose }: { readonly onClose: () => void }) => {
  const dialog = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog
      ref={dialog}
      aria-labelledby="help-title"
      onClose={onClose}
      onClick={(event) => {
        // Beside it.
        if (event.target === dialog.current) {
          dialog.current?.close()
        }
      }}
    >
      <div class="help">
        <h2 id="help-title">Keys</h2>
        <dl>
          {keys.map(([keys, what]) => (
            <div key={keys}>
              <dt>{keys.split(" ").map((one) => (one === "…" ? " … " : <kbd key={one}>{one}</kbd>))}</dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <p class="quiet">
          With a mouse: drag over the small picture to zoom, Ctrl and the wheel over the bars as well; double-click a
          span to see only that. With fingers: pinch.
        </p>
        <button type="button" autofocus onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  )
}
