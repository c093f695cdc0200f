-- How is an object of modelcache.dev? One script for every kind: they all keep the same contract (docs/gitops.md).
-- Argo CD gives it no string library, and knows Healthy, Progressing, Degraded and Suspended.
local hs = { status = "Progressing", message = "Waits for the operator to look at it" }
if obj.metadata.deletionTimestamp ~= nil then
  hs.message = "Is being deleted"
end
if obj.status == nil or obj.status.conditions == nil then
  return hs
end

local said = {}
for _, condition in ipairs(obj.status.conditions) do
  said[condition.type] = condition
end
local ready = said.Ready
if ready == nil then
  return hs
end
local function is(type)
  return said[type] ~= nil and said[type].status == "True"
end

if obj.metadata.deletionTimestamp ~= nil then
  hs.message = ready.message
  return hs
end
if obj.status.observedGeneration ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waits for the operator to look at the new spec"
  return hs
end
if is("Stalled") then
  return { status = "Degraded", message = said.Stalled.reason .. ": " .. said.Stalled.message }
end
if obj.spec.suspend == true then
  return { status = "Suspended", message = ready.message }
end
if ready.status == "True" and not is("Reconciling") then
  return { status = "Healthy", message = ready.message }
end
hs.message = ready.reason .. ": " .. ready.message
return hs
