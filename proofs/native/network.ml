(* The network of a model file, as the machine's: direct coding; affine layers, batch norms, average pools, max pools of spikes and sums of two
   paths, with LIF or VariedLIF behind them; what is read: the mean of a last affine layer, or spikes. As checking/network/graph.py; all else is refused
   by name. maps.ml has the layers that are no neurons. Trusted. *)
open Json
open Checker
open Maps

type place = { layer : int; neurons : int array }              (* what a place of a certificate names: which neurons of a layer *)
type t = { machine : network; places : (int * place) list; shape : int list; digest : string }

(* ---- neurons ------------------------------------------------------------------------------------------------------------------- *)
let kind layer =
  (match optional "fires_at" layer with None | Some (Text (">=" | ">")) -> () | _ -> refuse "fires_at: expected >= or >");
  match text "reset" layer with
  | "zero" -> Zero | "subtract" -> Subtract | "none" -> Never
  | other -> refuse ("no rule for a reset " ^ short other)

let same_neurons layer width =
  known "a LIF" [ "type"; "decay"; "threshold"; "reset"; "reset_amount"; "fires_at"; "surrogate" ] layer;
  let constant name = exact name (Json.number name (field name layer)) in
  let kind = kind layer and theta = constant "threshold" in
  let drop = match optional "reset_amount" layer with
    | None -> theta
    | Some _ when kind = Subtract -> constant "reset_amount"
    | Some _ -> refuse "has a reset_amount that does not fit" in
  let neuron = { decay = constant "decay"; theta; kind; drop } in
  List.init width (fun _ -> neuron)

(* constants of each neuron, of the signal's last dimensions; 1 stands for all *)
let varied content tensors name layer shape =
  known "a VariedLIF" [ "type"; "shape"; "amounts"; "reset"; "fires_at"; "surrogate" ] layer;
  let own = List.map (whole "shape") (list "shape" (field "shape" layer)) in
  if own <> shape && flat own <> 1 then refuse "no rule for a VariedLIF of another shape than its inputs";
  if List.length own > List.length shape then refuse "neurons that differ do not fit their inputs";
  let constant part = floats content tensors (name ^ "." ^ part) own in
  let decay = constant "decay" and theta = constant "threshold" in
  let kind = kind layer in
  let drop = match field "amounts" layer with
    | Bool false -> theta
    | Bool true when kind = Subtract -> constant "reset_amount"
    | _ -> refuse "amounts: does not fit" in
  let at constants i = constants.(if Array.length constants = 1 then 0 else i) in
  List.init (flat shape) (fun i -> { decay = at decay i; theta = at theta i; kind; drop = at drop i })

(* the places of each kind of neurons, in the order in which kinds first come *)
let kinds neurons =
  let found = Hashtbl.create 16 and order = ref [] in
  List.iteri (fun i (n : neuron) ->
    match Hashtbl.find_opt found n with
    | Some places -> places := i :: !places
    | None -> let places = ref [ i ] in Hashtbl.add found n places; order := places :: !order) neurons;
  List.rev_map (fun places -> Array.of_list (List.rev !places)) !order

(* ---- rows: what a layer reads are the columns of the spikes before it, the nearest layer first, the inputs last ------------------- *)
type built = { hidden : (row list * neuron list) list; nested : way option list list; far : int list; node : int; named : (int * place) list }

(* of the numbers that a layer reads: rows, ways, and how many layers back they reach; hidden: the layers before it, last first *)
let rows_of hidden numbers =
  let count = List.length hidden and reach = ref 1 in
  let starts = Array.make (count + 1) 0 in                      (* by layers back, 1 the nearest *)
  List.iteri (fun i (rows, _) -> starts.(i + 1) <- (starts.(i) + List.length rows)) hidden;
  let column layer i = let back = count - layer in reach := max !reach back; starts.(back - 1) + i in
  let ways = Hashtbl.create 1024 in
  let rec way n =
    match n.made with
    | Source (layer, i) -> Given (column layer i)
    | Step (how, bias, parts) ->
        (match Hashtbl.find_opt ways n.id with
         | Some found -> found
         | None ->
             let found = Made (how, bias, List.map (fun (k, part) -> (k, way part)) parts) in
             Hashtbl.add ways n.id found; found) in
  let rec ascends = function ((a : int), _) :: ((b, _) :: _ as rest) -> a < b && ascends rest | _ -> true in
  let exception Indirect in
  let[@tail_mod_cons] rec terms = function
    | [] -> []
    | (k, { made = Source (layer, i); _ }) :: parts -> let term = (column layer i, k) in term :: (terms [@tailcall]) parts
    | _ -> raise_notrace Indirect in
  let direct n = match n.made with
    | Step (Products, bias, parts) ->
        (match terms parts with
         | terms ->
             let terms = if ascends terms then terms else List.sort (fun ((a : int), _) (b, _) -> compare a b) terms in
             if ascends terms then Some (terms, bias) else None
         | exception Indirect -> None)
    | _ -> None in
  let line n = match direct n with Some row -> (row, None) | None -> let w = way n in (Checker.flatten w, Some w) in
  let lines = List.map line (Array.to_list numbers) in
  let ways = if List.for_all (fun (_, w) -> w = None) lines then [] else List.map snd lines in
  (List.map fst lines, ways, !reach)

let spiking b neurons signal of_kinds =
  let layer = List.length b.hidden and all = kinds neurons in
  if of_kinds && layer = 0 && List.length all > 1 then refuse "no rule for neurons of several kinds in the first layer";
  let named, node =
    if not of_kinds then ([ (b.node + 1, { layer; neurons = Array.init (List.length neurons) Fun.id }) ], b.node + 1)
    else (List.mapi (fun i neurons -> (b.node + 2 + 3 * i, { layer; neurons })) all, b.node + 4 * List.length all - 1) in
  let rows, ways, reach = rows_of b.hidden signal.numbers in
  ({ hidden = (rows, neurons) :: b.hidden; nested = ways :: b.nested; far = reach :: b.far; node; named = named @ b.named }, sources layer signal.sizes)

(* maxima of spikes: neurons without memory, which fire where a sum of spikes reaches 1/2; no record names them *)
let greatest b signal =
  let half = { fnum = Big.Whole.one; fexp = Big.Whole.of_int (-1) } in
  let layer = List.length b.hidden and neuron = { decay = zero; theta = half; kind = Zero; drop = half } in
  let rows, ways, reach = rows_of b.hidden signal.numbers in
  ({ b with hidden = (rows, List.map (fun _ -> neuron) rows) :: b.hidden; nested = ways :: b.nested; far = reach :: b.far; node = b.node + 1 }, sources layer signal.sizes)

(* ---- the layers, one behind the other; places count as checking/network/graph.py counts nodes ------------------------------------- *)
let rec behind content tensors name (b, signal) layer =
  let mapped signal = ({ b with node = b.node + 1 }, signal) in
  match text "type" layer with
  | "Flatten" -> (b, flatten layer signal)
  | "Unflatten" -> (b, unflatten layer signal)
  | "Linear" -> mapped (linear content tensors name layer signal)
  | "Conv2d" -> mapped (convolution content tensors name layer signal)
  | "AvgPool2d" -> mapped (pool name layer signal)
  | "BatchNorm1d" | "BatchNorm2d" | "Normalize" -> mapped (norm content tensors name layer signal)
  | "MaxPool1d" | "MaxPool2d" -> greatest b (max_pool name layer signal)
  | "LIF" -> spiking b (same_neurons layer (Array.length signal.numbers)) signal false
  | "VariedLIF" -> spiking b (varied content tensors name layer signal.sizes) signal true
  | "Residual" ->
      known "a Residual" [ "type"; "branch"; "shortcut" ] layer;
      let b, branch = path content tensors (name ^ ".branch") (b, signal) (list "branch" (field "branch" layer)) in
      let b, shortcut = path content tensors (name ^ ".shortcut") (b, signal) (list "shortcut" (field "shortcut" layer)) in
      ({ b with node = b.node + 1 }, joined branch shortcut)
  | other -> refuse ("no rule for a " ^ short other ^ " layer")
and path content tensors name start layers =
  snd (List.fold_left (fun (i, found) layer -> (i + 1, behind content tensors (Printf.sprintf "%s.%d" name i) found layer)) (0, start) layers)

let of_content (content : Tensors.content) shape =
  let t = content.text in
  known "a network" [ "num_steps"; "encoding"; "readout"; "layers" ] t;
  let steps = whole "num_steps" (field "num_steps" t) in
  if steps < 1 || steps > 256 then refuse "num_steps: expected 1 to 256";
  if text "encoding" t <> "direct" then refuse ("no rule for encoding " ^ short (text "encoding" t));
  let tensors = Hashtbl.create 64 in
  List.iter (fun (name, tensor) -> Hashtbl.add tensors name tensor) content.tensors;
  let layers = list "layers" (field "layers" t) in
  let start = { hidden = []; nested = []; far = []; node = 0; named = [] } in
  let b, signal = path content tensors "layers" (start, sources (-1) shape) layers in
  if Hashtbl.length tensors > 0 then refuse "holds a tensor that belongs to no layer";
  if b.hidden = [] then refuse "no rule for a network without neurons that fire";
  let fires = match List.rev layers with last :: _ -> List.mem (text "type" last) [ "LIF"; "VariedLIF" ] | [] -> false in
  let rows, ways, _ = rows_of b.hidden signal.numbers in
  let last, ways = match text "readout" t with
    | "mean" when not fires && List.length signal.sizes = 1 -> (Some rows, ways)
    | "spikes" when fires -> (None, [])
    | other -> refuse ("no rule for readout " ^ short other ^ " behind such a layer") in
  let widest = List.fold_left (fun n (rows, _) -> max n (List.length rows)) (flat shape) b.hidden in
  if steps * steps * widest > 1 lsl 23 then refuse "is too large: steps * steps * neurons of a layer are more than 2^23";
  let machine = { steps; hidden = List.rev b.hidden; last; nested = List.rev (ways :: b.nested); far = List.rev b.far } in
  { machine; places = b.named; shape; digest = content.digest }
