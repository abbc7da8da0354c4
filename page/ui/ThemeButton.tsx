/** Light or dark. */
import { useEffect } from "preact/hooks"
import { useTheme } from "../hooks.ts"

export const ThemeButton = () => {
  const [theme, toggle] = useTheme()
  useEffect(() => {
    const down = (event: KeyboardEvent) => {
      const typing =
        event.target instanceof Element && event.target.matches("input:not([type=checkbox]), select, textarea")
      if (event.key === "t" && !typing && !event.altKey && !event.ctrlKey && !event.metaKey) {
        toggle()
      }
    }
    document.addEventListener("keydown", down)
    return () => document.removeEventListener("keydown", down)
  }, [toggle])
  return (
    <button type="button" class="theme" title="Light or dark (t)" onClick={toggle}>
      {theme === "dark" ? "Light" : "Dark"}
    </button>
  )
}
